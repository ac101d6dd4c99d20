import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadCatalog } from '../../app/catalog/catalog.ts'
import { describeFiles } from '../../app/catalog/describe-files.ts'
import { ownPrefix, scanActions } from '../../app/catalog/scan-actions.ts'
import { inPackage } from '../../app/paths.ts'
import { identify } from '../../app/runs/process-identity.ts'
import { linkCompileCache } from '../helpers/shared-compile-cache.ts'

describe('scanActions', () => {
  it('makes names of paths, and leaves out what is no action', () => {
    const folder = folderWith({
      'report/build.ts': '',
      'report/month/close.js': '',
      'a/b/c/d.ts': '',
      'a/b/c/d/e.ts': '',
      'direct.ts': '',
      'direct.test.ts': '',
      'report/_shared.ts': '',
      '_private/x.ts': '',
      '.hidden/x.ts': '',
      'report/build.test.ts': '',
      'report/types.d.ts': '',
      'report/README.md': '',
      'Report/Upper.ts': '',
      [`long/${'x'.repeat(33)}.ts`]: '',
      'both/one.ts': '',
      'both/one.js': '',
    })
    symlinkSync('.', join(folder, 'report', 'round'))
    symlinkSync('nowhere.ts', join(folder, 'report', 'dangling.ts'))
    const found = scanActions(folder)
    const names = found.map(({ path }) => path).filter(path => !path.includes('round'))
    assert.deepEqual(names, ['a/b/c/d', 'both/one', 'direct', 'report/build', 'report/month/close'])
    assert.equal(found.find(({ path }) => path === 'both/one')?.file, join(folder, 'both', 'one.ts'))
  })

  it('finds none in a folder that is not there', () => assert.deepEqual(scanActions('/nowhere/at/all'), []))
})

describe('loadCatalog', () => {
  it('knows what each action says of itself', async () => {
    const actions = folderWith({
      'a/plain.ts': 'export async function execute() {}',
      'a/spoken.ts': `export const description = 'Says so.'
export const params = { type: 'object', properties: { n: { type: 'integer' } } }
export const timeoutMs = 5000, maxAttempts = 3
export const execute = () => {}`,
      'a/defined.ts': `export default { description: 'Defined.', execType: 'FOREVER', stallMs: 1000, stallRestart: true, graceMs: 0, execute() {} }`,
    })
    const { entries, get } = await loadCatalog({ actions: [actions], runtime: newRuntime() })
    assert.deepEqual(
      mine(entries).map(({ name }) => name),
      ['a/defined', 'a/plain', 'a/spoken'],
    )
    assert.deepEqual(get('a/plain'), {
      name: 'a/plain',
      file: join(actions, 'a', 'plain.ts'),
      isAmbiguous: false,
      exportName: 'execute',
      error: null,
      description: null,
      paramsSchema: null,
      isolation: 'process',
      resident: null,
      timeoutMs: null,
      graceMs: null,
      stallMs: null,
      stallRestart: false,
      maxAttempts: null,
      execType: null,
      limits: null,
    })
    const spoken = get('a/spoken')!
    assert.deepEqual([spoken.description, spoken.timeoutMs, spoken.maxAttempts], ['Says so.', 5000, 3])
    assert.deepEqual(spoken.paramsSchema, { type: 'object', properties: { n: { type: 'integer' } } })
    const defined = get('a/defined')!
    assert.deepEqual(
      [defined.exportName, defined.execType, defined.stallMs, defined.stallRestart, defined.graceMs],
      ['default', 'FOREVER', 1000, true, 0],
    )
    assert.equal(get('a/none'), undefined)
  })

  it('takes up files that are added, changed and removed, and writes what it learnt for others', async () => {
    const actions = folderWith({ 'a/one.ts': 'export const execute = () => {}' })
    const config = { actions: [actions], runtime: newRuntime() }
    const first = await loadCatalog(config)
    assert.equal(await loadCatalog(config), first)
    writeFileSync(join(actions, 'a', 'two.ts'), 'export const execute = () => {}')
    writeFileSync(join(actions, 'a', 'one.ts'), `export const description = 'changed'; export const execute = () => {}`)
    const second = await eventually(config, catalog => catalog.get('a/two') !== undefined)
    assert.equal(second.get('a/one')?.description, 'changed')
    rmSync(join(actions, 'a', 'one.ts'))
    const third = await eventually(config, catalog => mine(catalog.entries).length === 1)
    assert.equal(third.get('a/one'), undefined)
    const stored = JSON.parse(readFileSync(join(config.runtime, 'actions.json'), 'utf8'))
    assert.ok(stored.files[join(actions, 'a', 'two.ts')])
  })

  it('knows what came into the folder while it took its time over another file', async () => {
    const released = join(newRuntime(), 'released')
    const actions = folderWith({
      'a/slow.ts': `import { existsSync } from 'node:fs'
while (!existsSync(${JSON.stringify(released)})) await new Promise(resolve => setTimeout(resolve, 10))
export const execute = () => {}`,
    })
    const config = { actions: [actions], runtime: newRuntime() }
    const beganAt = performance.now()
    const first = loadCatalog(config)
    // What was looked at half a second before may be told.
    while (performance.now() - beganAt < 501) await sleep(10)
    writeFileSync(join(actions, 'a', 'late.ts'), 'export const execute = () => {}')
    const second = loadCatalog(config)
    writeFileSync(released, '')
    assert.deepEqual([(await first).get('a/slow')?.error, (await second).get('a/late')?.error], [null, null])
  })

  it('runs no file that another process has described already', async () => {
    const actions = folderWith({ 'a/counts.ts': '' })
    const count = join(actions, 'count')
    writeFileSync(
      join(actions, 'a', 'counts.ts'),
      `import { appendFileSync } from 'node:fs'
appendFileSync(${JSON.stringify(count)}, 'x')
export const execute = () => {}`,
    )
    const config = { actions: [actions], runtime: newRuntime() }
    for (let n = 0; n < 2; n++) loadElsewhere(config)
    await loadCatalog(config)
    assert.equal(readFileSync(count, 'utf8'), 'x')
  })

  it('copes with an actions.json that is torn, and with a runtime folder that is not there', async () => {
    const actions = folderWith({ 'a/one.ts': 'export const execute = () => {}' })
    for (const runtime of [
      folderWith({ 'actions.json': '{"format":1,"fi' }),
      folderWith({ 'actions.json': '{"format":0}' }),
      '/nowhere/at/all',
    ]) {
      assert.equal((await loadCatalog({ actions: [actions], runtime })).get('a/one')?.error, null)
    }
  })

  it('tries an action again that did not load, although its own file is the same', async () => {
    const actions = folderWith({ 'a/needs.ts': `import '../lib.mjs'\nexport const execute = () => {}` })
    const config = { actions: [actions], runtime: newRuntime() }
    assert.match(String((await loadCatalog(config)).get('a/needs')!.error!), /Cannot find module/)
    writeFileSync(join(actions, 'lib.mjs'), '')
    const path = join(config.runtime, 'actions.json')
    const stored = JSON.parse(readFileSync(path, 'utf8'))
    for (const known of Object.values(stored.files) as { describedAt: number }[]) known.describedAt -= 60_000
    writeFileSync(path, JSON.stringify(stored))
    assert.equal(loadElsewhere(config)['a/needs'], null)
  })

  it('names the nearest', async () => {
    const actions = folderWith(
      Object.fromEntries(['report/build', 'report/built', 'mail/send'].map(name => [`${name}.ts`, 'export const execute = () => {}'])),
    )
    const { nearest } = await loadCatalog({ actions: [actions], runtime: newRuntime() })
    assert.deepEqual(nearest('report/biuld'), ['report/build', 'report/built'])
    assert.deepEqual(nearest('Mail/Send'), ['mail/send'])
    assert.deepEqual(nearest('entirely/different-from-all'), [])
  })

  it('describes the shipped examples and the fixtures without an error', async () => {
    for (const actions of [inPackage('app', 'actions'), inPackage('test', 'fixtures', 'actions')]) {
      const { entries } = await loadCatalog({ actions: [actions], runtime: newRuntime() })
      assert.ok(mine(entries).length >= 5)
      assert.deepEqual(
        entries.filter(({ error }) => error !== null),
        [],
      )
    }
  })
})

describe('a file that does not load', () => {
  it('as it says import in a project that is CommonJS, is told with what to do about it', async () => {
    const actions = folderWith({
      'a/import.ts': "import { join } from 'node:path'\nexport const execute = () => join('a')",
      'a/export.js': 'export const execute = () => {}',
      'a/typo.ts': 'export const execute = () => {',
    })
    writeFileSync(join(actions, 'package.json'), '{ "type": "commonjs" }')
    const { get } = await loadCatalog({ actions: [actions], runtime: newRuntime() })
    for (const name of ['a/import', 'a/export'])
      assert.match(String(get(name)?.error), /; say "type": "module" in package\.json, or write require\(\)/)
    assert.doesNotMatch(String(get('a/typo')?.error), /"type": "module"/)
  })

  it('is told with its error and harms no other', async () => {
    const files = [
      'awaits-nothing',
      'bad-option',
      'bad-schema',
      'exits-at-import',
      'killed-at-import',
      'missing-import',
      'never-ends-importing',
    ]
    files.push('no-execute', 'prints-and-spawns', 'spins-at-import', 'syntax-error', 'throws-at-import')
    const folder = inPackage('test', 'fixtures', 'broken', 'broken')
    const good = inPackage('test', 'fixtures', 'actions', 'test', 'ok.ts')
    const paths = files.flatMap(name => [join(folder, `${name}.ts`), good])
    const descriptions = await describeFiles({ actions: [folder], runtime: newRuntime() }, paths, 1000)
    const errors = Object.fromEntries(files.map((name, n) => [name, descriptions[n * 2]!.error ?? 'none']))
    for (const [name, expected] of Object.entries({
      'awaits-nothing': /awaits something that nothing is left to settle/,
      'bad-option': /timeoutMs is "5 s"; it must be a whole number of milliseconds/,
      'bad-schema': /Invalid regular expression/,
      'exits-at-import': /leaves the process with code 3 while it is loaded/,
      'killed-at-import': /ended by SIGKILL while it was loaded/,
      'missing-import': /Cannot find module '.*not-there\.ts'/,
      'never-ends-importing': /does not end loading: ended after 1 s/,
      'no-execute': /exports no execute; write: export async function execute/,
      'prints-and-spawns': /^none$/,
      'spins-at-import': /does not end loading: ended after 1 s/,
      'syntax-error': /SyntaxError: .*\(line 1\)/,
      'throws-at-import': /Error: thrown while it was loaded \(line 1\)/,
    })) {
      assert.match(errors[name]!, expected)
    }
    for (let n = 1; n < descriptions.length; n += 2) assert.equal(descriptions[n]!.error, null, `the good file after ${files[(n - 1) / 2]}`)
  })

  it('prints nothing of ours, sees no secret, and leaves no process behind', async () => {
    const actions = folderWith({ 'a/looks.ts': '' })
    const seen = join(actions, 'seen')
    writeFileSync(
      join(actions, 'a', 'looks.ts'),
      `import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
const { pid } = spawn('sleep', ['300'])
writeFileSync(${JSON.stringify(seen)}, JSON.stringify({ env: process.env, pid }))
console.log('leaks to stdout'); console.error('leaks to stderr')
export const execute = () => {}`,
    )
    const program = `import { loadCatalog } from ${JSON.stringify(inPackage('app', 'catalog', 'catalog.ts'))}
await loadCatalog(${JSON.stringify({ actions: [actions], runtime: newRuntime(), childEnv: ['MAIL_HOST'] })})`
    const secrets = { BGTASK_ADMIN_PASSWORD: 'secret', DATABASE_URL: 'mysql://u:secret@h/d', MY_TOKEN: 'secret', MAIL_HOST: 'mail' }
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      env: { PATH: process.env.PATH, HOME: '/tmp', ...secrets },
    })
    assert.equal(printed.toString(), '')
    const { env, pid } = JSON.parse(readFileSync(seen, 'utf8')) as { env: NodeJS.ProcessEnv; pid: number }
    assert.ok(!JSON.stringify(env).includes('secret'), JSON.stringify(env))
    assert.deepEqual([env.MAIL_HOST, env.HOME, env.BGTASK_ACTIONS], ['mail', '/tmp', actions])
    while (identify(pid)) await sleep(5)
  })
})

const newRuntime = (): string => {
  const runtime = folderWith({})
  linkCompileCache(runtime)
  return runtime
}

const folderWith = (files: Record<string, string>): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-catalog-'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}

/** Without what comes with bgtask. */
const mine = (entries: Loaded['entries']) => entries.filter(({ name }) => !name.startsWith(ownPrefix))

type Loaded = Awaited<ReturnType<typeof loadCatalog>>

const eventually = async (config: { actions: string[]; runtime: string }, holds: (catalog: Loaded) => boolean): Promise<Loaded> => {
  for (const end = performance.now() + 10_000; performance.now() < end; await sleep(50)) {
    const catalog = await loadCatalog(config)
    if (holds(catalog)) return catalog
  }
  throw new Error('The catalog did not become so within 10 s.')
}

/** In a process of its own. @returns each action's error */
const loadElsewhere = (config: { actions: string[]; runtime: string }): Record<string, string | null> => {
  const program = `import { loadCatalog } from ${JSON.stringify(inPackage('app', 'catalog', 'catalog.ts'))}
const { entries } = await loadCatalog(${JSON.stringify(config)})
console.log(JSON.stringify(Object.fromEntries(entries.map(({ name, error }) => [name, error]))))`
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program]).toString())
}
