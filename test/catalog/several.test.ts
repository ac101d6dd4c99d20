import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Catalog, loadCatalog } from '../../app/catalog/catalog.ts'
import { guessAction, ownFolder } from '../../app/catalog/scan-actions.ts'
import { nameOfExport } from '../../app/task/export-name.ts'
import { linkCompileCache } from '../helpers/shared-compile-cache.ts'

describe('a file that holds several actions', () => {
  it('gives one for each function or defineAction it exports, each with its own options', async () => {
    const actions = folderWith({
      'report.ts': `export async function daily() {}
export const weeklySums = { description: 'Sums.', timeoutMs: 5000, params: { type: 'object' }, execute() {} }
export const exportCSV = () => {}
export const _shared = () => {}
export class Logic {}
export const rates = [1, 2]`,
      'shop/mail.ts': 'export const send = () => {}',
      'shop/whole.ts': 'export const execute = () => {}\nexport const helper = () => {}',
      'shop/default.ts': 'export default { execute() {} }\nexport const helper = () => {}',
    })
    const { entries, refused } = await load(actions)
    assert.deepEqual(
      entries.map(({ name, exportName, error }) => [name, exportName, error]),
      [
        ['report/daily', 'daily', null],
        ['report/export-csv', 'exportCSV', null],
        ['report/weekly-sums', 'weeklySums', null],
        ['shop/default', 'default', null],
        ['shop/mail/send', 'send', null],
        ['shop/whole', 'execute', null],
      ],
    )
    const sums = entries[2]!
    assert.deepEqual([sums.description, sums.timeoutMs, sums.paramsSchema], ['Sums.', 5000, { type: 'object' }])
    assert.deepEqual(refused, [])
  })

  it('is told with what is wrong: with the file, with one of its actions, with a name', async () => {
    const actions = folderWith({
      'report.ts': 'throw new Error("no key is set")',
      'one/wrong.ts': "export const good = () => {}\nexport const bad = { timeoutMs: '5 s', execute() {} }",
      'one/stray.ts': "export const runAs = 'nobody'\nexport const first = () => {}",
      'one/names.ts': 'export const $x = () => {}\nexport const fine = () => {}',
      'a/b/c/d.ts': 'export const e = () => {}',
      'lonely.ts': 'export const execute = () => {}',
    })
    const catalog = await load(actions)
    assert.deepEqual(
      catalog.entries.map(({ name, error }) => [name, error && String(error).replace(/;.*/, '')]),
      [
        ['one/names/fine', null],
        ['one/stray', 'TypeError: it exports runAs beside several actions'],
        ['one/wrong/bad', 'TypeError: timeoutMs is "5 s"'],
        ['one/wrong/good', null],
      ],
    )
    assert.deepEqual(
      catalog.refused.map(({ file, why }) => [file.slice(actions.length + 1), String(why).slice(0, 46)]),
      [
        ['a/b/c/d.ts', 'exports e, which would be the action a/b/c/d/e'],
        ['lonely.ts', 'is one action, and the name of an action has a'],
        ['one/names.ts', 'exports $x, which would be the action one/name'],
        ['report.ts', 'does not load: Error: no key is set (line 1)'],
      ],
    )
    // Whoever asks for an action of a file that does not load is told that, and not that there is none.
    assert.match(String(catalog.get('report/daily')!.error!), /no key is set/)
    assert.equal(catalog.get('report/daily/more'), undefined)
  })

  it('may have names of exports as people write them', () => {
    for (const [exportName, name] of Object.entries({
      daily: 'daily',
      dailySums: 'daily-sums',
      daily_sums: 'daily_sums',
      exportCSV: 'export-csv',
      HTMLReport: 'html-report',
      step2Run: 'step2-run',
    }))
      assert.equal(nameOfExport(exportName), name)
  })

  it('shares its file with no other: a name that two give is run by neither, and both are named', async () => {
    const actions = folderWith({
      'report.ts': 'export const daily = () => {}\nexport const weekly = () => {}\nexport const Weekly = () => {}',
      'report/daily.ts': 'export const execute = () => {}',
      'report/monthly.ts': 'export const execute = () => {}',
    })
    const more = folderWith({ 'report/monthly.ts': 'export const execute = () => {}', 'more/one.ts': 'export const execute = () => {}' })
    const { entries } = await load(actions, more)
    assert.deepEqual(
      entries.map(({ name, isAmbiguous }) => [name, isAmbiguous]),
      [
        ['more/one', false],
        ['report/daily', true],
        ['report/monthly', true],
        ['report/weekly', true],
      ],
    )
    assert.equal(
      String(entries[1]!.error),
      `daily in ${actions}/report.ts and ${actions}/report/daily.ts both have this name; rename one of them`,
    )
    assert.match(String(entries[2]!.error!), new RegExp(`${actions}/report/monthly.ts and ${more}/report/monthly.ts both`))
    assert.match(String(entries[3]!.error!), /weekly in .* and Weekly in /i)
  })

  it('is found by its place before it has been described', () => {
    const actions = folderWith({ 'report.ts': '', 'report/daily.ts': '', 'core/x.ts': '' })
    assert.deepEqual(guessAction([actions], 'report/daily'), { file: join(actions, 'report', 'daily.ts'), exportName: 'execute' })
    assert.deepEqual(guessAction([actions], 'report/daily-sums'), { file: join(actions, 'report.ts'), exportName: 'daily-sums' })
    assert.equal(guessAction([actions], 'other/one'), null)
    assert.equal(guessAction([actions], 'core/x'), null)
    assert.equal(guessAction([actions], 'core/x/y'), null)
  })
})

describe('several folders', () => {
  it('are one map, also when a file comes later', async () => {
    const one = folderWith({ 'a/one.ts': 'export const execute = () => {}' })
    const two = folderWith({ 'b/two.ts': 'export const execute = () => {}' })
    const config = { actions: [one, two], runtime: newRuntime() }
    assert.deepEqual(namesIn(await loadCatalog(config)), ['a/one', 'b/two'])
    writeFileSync(join(two, 'late.ts'), 'export const comer = () => {}')
    const end = performance.now() + 10_000
    while (!(await loadCatalog(config)).get('late/comer') && performance.now() < end) await sleep(50)
    assert.deepEqual(namesIn(await loadCatalog(config)), ['a/one', 'b/two', 'late/comer'])
  })
})

describe('names that begin with core/', () => {
  it('are ours: a file that takes one is refused, and is not even loaded', async () => {
    const marker = join(folderWith({}), 'loaded')
    const taking = `import { writeFileSync } from 'node:fs'\nwriteFileSync(${JSON.stringify(marker)}, '')\nexport const execute = () => {}`
    const actions = folderWith({ 'core/cron.ts': taking, 'core.ts': taking, 'cores/one.ts': 'export const execute = () => {}' })
    const { entries, refused } = await load(actions)
    assert.ok(entries.every(({ file }) => !file.startsWith(join(actions, 'core')) || file.startsWith(join(actions, 'cores'))))
    assert.deepEqual(
      refused.map(({ file, why }) => [file, /names that begin with core\/ are those of bgtask itself/.test(String(why))]),
      [
        [join(actions, 'core.ts'), true],
        [join(actions, 'core', 'cron.ts'), true],
      ],
    )
    assert.deepEqual(readdirSync(join(marker, '..')), [])
  })

  it('are those of app/core, and all of them load', async () => {
    const { entries } = await loadCatalog({ actions: [], runtime: newRuntime() })
    for (const { name, file, error } of entries) {
      assert.ok(name.startsWith('core/') && file.startsWith(ownFolder), name)
      assert.equal(error, null, name)
    }
  })
})

const load = (...actions: string[]) => loadCatalog({ actions, runtime: newRuntime() }).then(mine)

/** Without what comes with bgtask. */
const mine = (catalog: Catalog): Catalog => ({ ...catalog, entries: catalog.entries.filter(({ name }) => !name.startsWith('core/')) })
const namesIn = (catalog: Catalog) => mine(catalog).entries.map(({ name }) => name)

const newRuntime = (): string => {
  const runtime = folderWith({})
  linkCompileCache(runtime)
  return runtime
}

const folderWith = (files: Record<string, string>): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-several-'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}
