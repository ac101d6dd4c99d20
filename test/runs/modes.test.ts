import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { type TestContext, test } from 'node:test'
import { launcher } from '../../app/paths.ts'
import { prepareRuntimeFolder } from '../../app/runs/runtime-folder.ts'
import { password, servePanel } from '../helpers/browser.ts'
import { until } from '../helpers/scene.ts'

const actions = join(import.meta.dirname, '..', 'fixtures', 'actions')
const isRoot = process.getuid?.() === 0
// The product's own cache is looked at here, not the one that all tests share.
delete process.env.NODE_COMPILE_CACHE

const newFolder = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-modes-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'runtime')
}

for (const umask of [0o000, 0o022, 0o077]) {
  test(`under umask ${umask.toString(8).padStart(3, '0')} all of the runtime folder is for its owner alone, and files of an action are made by its own`, async t => {
    const before = process.umask(umask)
    t.after(() => process.umask(before))
    const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_ACTIONS: actions, BGTASK_AUTOSTART: 'on' })
    process.umask(before)
    const env = { PATH: process.env.PATH!, HOME: process.env.HOME!, BGTASK_RUNTIME: panel.runtime, BGTASK_ACTIONS: actions }
    const witness = join(panel.runtime, '..', `witness-${umask}-${process.pid}`)
    t.after(() => rmSync(witness, { force: true }))
    for (const words of [
      ['add', 'test/registers-secret', '{"apiKey": "a key of the params"}'],
      ['add', 'test/witness-once', JSON.stringify({ witness })],
      ['add', 'test/forever', '--forever'],
    ])
      await command(env, umask, words)
    const runs = join(panel.runtime, 'runs')
    await until('runs of all three', () => ['1-1', '2-1', '3-1'].every(name => existing(join(runs, name, 'output.log'))), 60_000)
    await until('the outcome of the first', () => existing(join(runs, '1-1', 'outcome.json')), 60_000)
    await until('the loop beats', () => existing(join(runs, '3-1', 'beat.json')) || existing(join(runs, '3-1', 'outcome.json')), 60_000)
    await command(env, umask, ['show', '1'])
    await command(env, umask, ['debug', '1', '--json'])
    const made = all(panel.runtime)
    for (const name of [
      'bgtask.sqlite',
      'bgtask.sqlite-wal',
      'bgtask.sqlite-shm',
      'bgtask.lock',
      'bgtask.pid',
      'bgtask.log',
      'session-secret',
      'database-url',
    ])
      assert.ok(made.includes(name), `${name} is not there: ${made.join(' ')}`)
    for (const name of ['ticket.json', 'output.log', 'outcome.json', 'secrets.jsonl']) assert.ok(made.includes(`runs/1-1/${name}`), name)
    assert.ok(made.some(name => name.startsWith('compile-cache/')))
    assert.deepEqual(openOnes(panel.runtime), [])
    await until('the file of an action', () => existing(witness), 60_000)
    assert.equal(statSync(witness).mode & 0o777, 0o666 & ~umask)
    await command(env, umask, ['stop', '--hold'])
    await until('the loop has left', () => !existing(join(panel.runtime, 'bgtask.pid')), 60_000)
    assert.deepEqual(openOnes(panel.runtime), [])
  })
}

test('a runtime folder that others could write into is closed, and refused when they have put something there', t => {
  const runtime = newFolder(t)
  prepareRuntimeFolder(runtime)
  const said: string[] = []
  t.mock.method(console, 'error', (text: string) => said.push(text))
  chmodSync(runtime, 0o777)
  prepareRuntimeFolder(runtime)
  assert.equal(statSync(runtime).mode & 0o777, 0o700)
  assert.match(said.join('\n'), /could be changed by others \(mode 777\); it is closed to them now/)
  prepareRuntimeFolder(runtime)
  assert.equal(said.length, 1)
  chmodSync(runtime, 0o770)
  symlinkSync('/etc/passwd', join(runtime, 'bgtask.log'))
  assert.throws(() => prepareRuntimeFolder(runtime), /Others could write into the runtime folder .*"bgtask\.log" in it is a symbolic link/)
})

test('a runtime folder of somebody else is refused, also by root', { skip: !isRoot && 'needs root' }, t => {
  const runtime = newFolder(t)
  mkdirSync(runtime, { mode: 0o700 })
  chownSync(runtime, 65_534, 65_534)
  assert.throws(() => prepareRuntimeFolder(runtime), /cannot be trusted \(it belongs to user 65534, and this is user 0\)/)
  chownSync(runtime, 0, 0)
  prepareRuntimeFolder(runtime)
  writeFileSync(join(runtime, 'actions.json'), '{}')
  chownSync(join(runtime, 'actions.json'), 65_534, 65_534)
  chmodSync(runtime, 0o777)
  assert.throws(() => prepareRuntimeFolder(runtime), /"actions\.json" in it belongs to user 65534/)
})

const existing = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

const all = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).map(entry => relative(folder, join(entry.parentPath, entry.name)))

/** Everything that is not 0700 or 0600, the folder itself included. */
const openOnes = (folder: string): string[] =>
  ['', ...all(folder)].flatMap(name => {
    const stat = lstatSync(join(folder, name), { throwIfNoEntry: false })
    const mode = (stat?.mode ?? 0) & 0o7777
    return stat && mode !== (stat.isDirectory() ? 0o700 : 0o600) ? [`${name || '.'} ${mode.toString(8)}`] : []
  })

const command = async (env: Record<string, string>, umask: number, words: string[]) => {
  const before = process.umask(umask)
  const child = spawn(process.execPath, [launcher, ...words], { env, stdio: 'ignore' })
  process.umask(before)
  await new Promise(resolve => child.once('close', resolve))
}
