import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../app/config.ts'
import { inPackage } from '../app/paths.ts'
import { makeScene } from './api/scene.ts'
import { json, run } from './cli/run.ts'

test('every process that is started gets an environment made for it, never ours', () => {
  const starts = files().flatMap(file => {
    const text = readFileSync(file, 'utf8')
    return [...text.matchAll(/(?<![.\w]|static |static async )(?:spawn|spawnSync|execFile|execFileSync|exec|execSync|fork)\((?!\))/g)].map(
      ({ index }) => ({
        file,
        call: callAt(text, index),
      }),
    )
  })
  assert.ok(starts.length >= 6, `${starts.length} calls`)
  assert.deepEqual(
    starts.filter(({ call }) => !/\benv(?::|,)/.test(call)),
    [],
  )
  for (const { call } of starts) assert.doesNotMatch(call, /shell:|\.\.\.process\.env/)
})

test('no run may have the address of the database or the first password in its environment', async () => {
  for (const name of ['DATABASE_URL', 'BGTASK_ADMIN_PASSWORD'])
    await assert.rejects(
      loadConfig({ BGTASK_CHILD_ENV: `TOKEN,${name}` }),
      new RegExp(`BGTASK_CHILD_ENV names ${name}, which no run may have`),
    )
})

test('secrets may be given as files, and a file that cannot be read is told', async t => {
  const { folder } = await makeScene(t)
  const [url, password] = [join(folder, 'url'), join(folder, 'password')]
  writeFileSync(url, 'mysql://kim:secret@db/shop\n')
  writeFileSync(password, 'a lantern over the harbour\n')
  const config = await loadConfig({ DATABASE_URL_FILE: url, BGTASK_ADMIN_PASSWORD_FILE: password })
  assert.deepEqual([config.databaseUrl, config.adminPassword], ['mysql://kim:secret@db/shop', 'a lantern over the harbour'])
  assert.equal((await loadConfig({ DATABASE_URL_FILE: url, DATABASE_URL: 'mysql://a@b/c' })).databaseUrl, 'mysql://a@b/c')
  await assert.rejects(
    loadConfig({ DATABASE_URL_FILE: join(folder, 'absent') }),
    /DATABASE_URL_FILE is ".*absent", which cannot be read \(ENOENT/,
  )
})

test('once it is read, the first password is no longer in the environment of the process, and still known to it', async () => {
  process.env.BGTASK_ADMIN_PASSWORD = 'a lantern over the harbour'
  try {
    for (let times = 0; times < 2; times++) {
      assert.equal((await loadConfig()).adminPassword, 'a lantern over the harbour')
      assert.equal(process.env.BGTASK_ADMIN_PASSWORD, undefined)
    }
  } finally {
    delete process.env.BGTASK_ADMIN_PASSWORD
  }
})

test('a command shows no secret: params by name and value, and refuses what was copied from where it is hidden', async t => {
  const { env } = await makeScene(t)
  const params = { password: 'seven blue herons', url: 'mysql://kim:p%40ss-word@db/x', note: 'seven blue herons', rows: 7 }
  const added = json<{ id: number; params: object }>(await run(env, 'add', 'test/plain', JSON.stringify(params), '--json'))
  const shown = { password: '[redacted]', url: 'mysql://kim:[redacted]@db/x', note: '[redacted]', rows: 7 }
  assert.deepEqual(added.params, shown)
  assert.deepEqual(json<{ params: object }>(await run(env, 'show', String(added.id), '--json')).params, shown)
  assert.deepEqual(json<{ params: object }[]>(await run(env, 'records', '--json'))[0]!.params, shown)
  for (const words of [['show', '1'], ['records'], ['cancel', '1', '--json'], ['retry', '1', '--json']])
    assert.doesNotMatch((await run(env, ...words)).stdout, /herons|p%40ss/, words.join(' '))
  const copied = await run(env, 'add', 'test/plain', JSON.stringify(added.params))
  assert.equal(copied.code, 1)
  assert.match(copied.stderr, /params\.password is what stands for a hidden value where it is shown/)
})

const files = () =>
  readdirSync(inPackage('app'), { recursive: true, withFileTypes: true }).flatMap(entry =>
    entry.isFile() && entry.name.endsWith('.ts') ? [join(entry.parentPath, entry.name)] : [],
  )

/** A call with all its arguments. */
const callAt = (text: string, start: number): string => {
  let depth = 0
  for (let index = text.indexOf('(', start); index < text.length; index++) {
    if (text[index] === '(') depth++
    if (text[index] === ')' && --depth === 0) return text.slice(start, index + 1)
  }
  return text.slice(start)
}
