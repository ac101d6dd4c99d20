import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeScene, until } from '../helpers/scene.ts'

const mountable = () => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-mount-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'bgtask-test', folder])
  if (status === 0) spawnSync('umount', [folder])
  rmSync(folder, { recursive: true })
  return status === 0 ? false : 'a file system cannot be mounted by this user here'
}
const skip = mountable()

const tmpfs = (t: TestContext, size: string) => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-mount-'))
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'bgtask-test', folder]).status, 0)
  t.after(() => {
    spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

test('a full disk: loops go on, and what ended is recorded when there is room again', { skip, timeout: 90_000 }, async t => {
  const runtime = tmpfs(t, '24m')
  const scene = await makeScene(t, { runtime })
  const witness = join(mkdtempSync(join(tmpdir(), 'bgtask-witness-')), 'witness')
  const supervisor = await scene.supervise()
  const loop = await scene.background.addTask('test/witness-loop', { witness }, 'FOREVER')
  const once = await scene.background.addTask('test/witness-once', { witness, ms: 2_000 })
  for (const { id } of [loop, once]) await scene.untilState(id, 'running')
  const ballast = join(runtime, 'ballast')
  assert.throws(() => {
    for (;;) writeFileSync(ballast, Buffer.alloc(262_144), { flag: 'a' })
  }, /ENOSPC/)
  const before = scene.supervisorLog().length
  await until(
    'the supervisor says that something could not be written',
    () => /ENOSPC|full|no space/i.test(scene.supervisorLog().slice(before)),
    20_000,
  )
  assert.equal(supervisor.process.exitCode, null)
  rmSync(ballast)
  await scene.untilState(once.id, 'succeeded', 45_000)
  assert.equal((await scene.task(loop.id)).state, 'running')
  assert.equal(await supervisor.stop(), 0)
})

test('a runtime folder on a read-only disk is refused with a sentence and code 78', { skip }, async t => {
  const runtime = tmpfs(t, '8m')
  assert.equal(spawnSync('mount', ['-o', 'remount,ro', runtime]).status, 0)
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, '..', '..', 'index.js'), 'supervise'], {
    env: { PATH: process.env.PATH!, BGTASK_RUNTIME: runtime },
    encoding: 'utf8',
  })
  assert.equal(status, 78, stderr)
  assert.match(stderr, new RegExp(`The runtime folder ${runtime} cannot be written`))
  assert.equal(stderr.trim().split('\n').length, 1, 'one sentence')
})
