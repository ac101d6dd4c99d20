import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { checkInstallation, type Finding } from '../../app/api/check.ts'
import { stopLoop } from '../../app/api/stop-loop.ts'
import { launcher } from '../../app/paths.ts'
import { prepareRuntimeFolder, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { openDatabase } from '../../app/store/database.ts'
import { sharedMariaDb } from '../helpers/mariadb.ts'
import { sharedCompileCache } from '../helpers/shared-compile-cache.ts'
import { makeScene, openScene } from './scene.ts'

const about = (findings: Finding[], subject: Finding['subject']) => findings.filter(finding => finding.subject === subject)
const isRoot = process.getuid?.() === 0

test('all is well, the runtime folder first', async t => {
  const { config } = await openScene(t)
  const findings = await checkInstallation(config)
  assert.equal(findings[0]!.subject, 'runtime folder')
  assert.deepEqual(
    findings.filter(finding => finding.level !== 'ok').map(finding => finding.subject),
    ['loop'],
  )
  assert.ok(findings.every(finding => (finding.level === 'ok') === (finding.remedy === null)))
})

test('before the first start nothing is an error, and nothing is made', async t => {
  const { config } = await makeScene(t, { untouched: true })
  const findings = await checkInstallation(config)
  assert.equal(findings.filter(finding => finding.level === 'error').length, 0)
  assert.equal(about(findings, 'runtime folder')[0]!.level, 'warning')
  assert.equal(about(findings, 'database')[0]!.level, 'warning')
})

test('a folder that others may read, a link, an action that does not load, a hold', async t => {
  const { config, folder } = await openScene(t, { actions: { 'test/broken': 'import "no-such-package"\n' } })
  chmodSync(config.runtime, 0o755)
  const [open] = about(await checkInstallation(config), 'runtime folder')
  assert.deepEqual([open!.level, String(open!.remedy)], ['warning', `chmod 700 "${config.runtime}"`])
  const link = join(folder, 'link')
  symlinkSync(config.runtime, link)
  assert.match(String(about(await checkInstallation({ ...config, runtime: link }), 'runtime folder')[0]!.sentence), /symbolic link/)
  const [broken] = about(await checkInstallation(config), 'actions')
  assert.match(String(broken!.sentence), /test\/broken does not load: .*no-such-package/)
  assert.equal(broken!.level, 'error')
  await stopLoop(config, { by: 'kim', hold: true })
  assert.match(String(about(await checkInstallation(config), 'loop')[0]!.sentence), /on hold by kim since/)
})

test('the classic: started once as root, and then as somebody else', { skip: !isRoot && 'needs root' }, async t => {
  const { config, env, folder } = await makeScene(t)
  prepareRuntimeFolder(config.runtime)
  chmodSync(folder, 0o755)
  writeFileSync(runtimePaths(config.runtime).lock, '')
  const look = () => {
    const as = spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, launcher, 'check', '--json'], {
      env: { ...env, HOME: '/' },
      encoding: 'utf8',
    })
    return {
      code: as.status,
      findings: (JSON.parse(as.stdout || '{"findings":[]}') as { findings: Finding[] }).findings,
      stderr: as.stderr,
    }
  }
  const foreign = look()
  if (/EACCES|permission/i.test(foreign.stderr)) return t.skip('the checkout cannot be read by other users')
  assert.equal(foreign.code, 78)
  assert.equal(foreign.findings[0]!.level, 'error')
  assert.match(String(foreign.findings[0]!.sentence), /belongs to user 0, and we are/)
  assert.match(String(foreign.findings[0]!.remedy!), /chown -R/)
  chownSync(config.runtime, 65534, 65534)
  for (const path of [runtimePaths(config.runtime).runs, runtimePaths(config.runtime).locks]) chownSync(path, 65534, 65534)
  assert.match(String(look().findings[0]!.sentence), /bgtask\.lock belongs to user 0/)
})

test('a database that is away, not migrated, newer, read-only, lazy', async t => {
  const away = await makeScene(t, { databaseUrl: 'mysql://kim:hunter2@127.0.0.1:1/x' })
  const [finding] = about(await checkInstallation(away.config), 'database')
  assert.equal(finding!.level, 'error')
  assert.ok(!JSON.stringify(finding).includes('hunter2'))

  const { config } = await makeScene(t, { databaseUrl: await (await sharedMariaDb()).newDatabase() })
  assert.match(String(about(await checkInstallation(config), 'database')[0]!.sentence), /are not up to date \(/)
  const { background } = await openScene(t, { databaseUrl: config.databaseUrl })
  assert.match(String(about(await checkInstallation(config), 'database')[0]!.sentence), /\(MariaDB 1[\d.]+\) answers and is up to date/)
  await background.db.kysely.insertInto('bg_migration').values({ name: '9999-future', started_at: 1, applied_at: 1 }).execute()
  assert.match(
    String(about(await checkInstallation(config), 'database')[0]!.sentence),
    /newer than this version of bgtask \(it has 9999-future\)/,
  )
})

test('a file that is no database', async t => {
  const { config } = await makeScene(t)
  const path = config.databaseUrl.slice('sqlite:'.length)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, 'this is no database at all, but a text that is long enough to be looked at'.repeat(20))
  assert.equal(about(await checkInstallation(config), 'database')[0]!.level, 'error')
  await assert.rejects(openDatabase(config.databaseUrl))
})

test('what could never be made is an error before the first start, and nothing hangs', { timeout: 60_000 }, async t => {
  const { env, folder } = await makeScene(t, { untouched: true })
  const look = (more: Record<string, string>) => {
    const { status, stdout, signal } = spawnSync(process.execPath, [launcher, 'check', '--json'], {
      env: { ...sharedCompileCache(), ...env, ...more },
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.equal(signal, null, 'it does not hang')
    return { status, errors: (JSON.parse(stdout) as { findings: Finding[] }).findings.filter(({ level }) => level === 'error') }
  }
  const nowhere = look({ BGTASK_RUNTIME: '/proc/nope' })
  assert.equal(nowhere.status, 78)
  assert.deepEqual(
    nowhere.errors.map(({ subject }) => subject),
    ['runtime folder', 'database'],
  )
  assert.match(
    String(nowhere.errors[0]!.sentence),
    /\/proc\/nope is not there and cannot be made \(nothing can be made in \/proc: ENOENT\)/,
  )
  const noDatabase = look({ DATABASE_URL: `sqlite:${join(folder, 'no', 'such', 'folder', 'x.sqlite')}` })
  assert.deepEqual([noDatabase.status, noDatabase.errors.map(({ subject }) => subject)], [78, ['database']])
  const noActions = look({ BGTASK_ACTIONS: join(folder, 'no-actions') })
  assert.deepEqual([noActions.status, noActions.errors.map(({ subject }) => subject)], [78, ['actions']])
  for (const command of [['start'], ['supervise'], ['add', 'test/plain'], ['serve']]) {
    const { status, signal, stderr } = spawnSync(process.execPath, [launcher, ...command], {
      env: { ...sharedCompileCache(), ...env, BGTASK_RUNTIME: '/proc/nope', PORT: '0' },
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.deepEqual([status, signal], [78, null], `${command}: ${stderr}`)
    assert.match(stderr, /The runtime folder \/proc\/nope cannot be written/)
  }
})

test('files that look like actions and are none are named, with the reason', async t => {
  const { config, folder } = await makeScene(t)
  const none = ['test/Capital.ts', 'test/module.mjs', 'test/with space.js']
  writeFileSync(join(folder, 'actions', 'lonely.ts'), 'export const execute = () => {}')
  for (const path of [...none, 'test/_helper.ts', 'test/plain.test.ts', 'test/types.d.ts', '.hidden.ts', 'test/notes.md'])
    writeFileSync(join(folder, 'actions', path), '')
  const found = about(await checkInstallation(config), 'actions')
  const named = found.filter(({ level }) => level === 'warning')
  assert.deepEqual(
    named
      .map(({ sentence }) => String(sentence).slice(join(folder, 'actions').length + 1, String(sentence).indexOf(' is no action')))
      .sort(),
    none,
  )
  assert.match(
    String(found.find(({ level }) => level === 'error')!.sentence),
    /lonely\.ts is one action, and the name of an action has a slash/,
  )
})

test('each actions folder that is not there or cannot be read is named, and what lies in the others works', async t => {
  const { config, folder, env } = await makeScene(t)
  const [first] = config.actions
  const closed = join(folder, 'closed')
  writeFileSync(closed, 'no folder')
  const several = { ...config, actions: [first!, closed, join(folder, 'missing')] }
  const found = about(await checkInstallation(several), 'actions')
  assert.deepEqual(
    found.map(({ level, sentence }) => [level, String(sentence).slice(0, String(sentence).indexOf(folder) + folder.length + 8)]),
    [
      ['error', `The actions folder ${folder}/missing`],
      ['error', `The actions folder ${folder}/closed `],
    ],
  )
  assert.match(String(found[1]!.sentence), /cannot be read \(ENOTDIR.*\), so its actions are not there/)
  const { status, stdout } = spawnSync(process.execPath, [launcher, 'add', 'test/plain', '--json'], {
    env: { ...env, BGTASK_ACTIONS: several.actions.join(':') },
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout)
  assert.equal(JSON.parse(stdout).action, 'test/plain')
  const unknown = spawnSync(process.execPath, [launcher, 'add', 'test/elsewhere'], {
    env: { ...env, BGTASK_ACTIONS: several.actions.join(':') },
    encoding: 'utf8',
  })
  assert.match(unknown.stderr, /There is no action "test\/elsewhere", as far as can be seen: .*closed cannot be read/)
  const none = about(await checkInstallation({ ...config, actions: [closed] }), 'actions')
  assert.match(String(none[0]!.sentence), /The actions in .*closed cannot be read/)
})
