import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { ring } from '../../app/runs/doorbell.ts'
import { wishFresh } from '../../app/store/wishes.ts'
import { makeScene, until } from '../helpers/scene.ts'

const mountable = () => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-mount-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'bgtask-test', folder])
  if (status === 0) spawnSync('umount', [folder])
  rmSync(folder, { recursive: true })
  return status === 0 ? false : 'a file system cannot be mounted by this user here'
}
const skip = mountable()

const tmpfs = (t: TestContext, size: string, files = 100_000) => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-mount-'))
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size},nr_inodes=${files},mode=700`, 'bgtask-test', folder]).status, 0)
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

// Another number of files is left each time, so that the want of one is met at each step of a start.
describe('no file can be made just when a loop has been spawned: it is looked after all the same, and never runs twice', {
  concurrency: true,
  timeout: 90_000,
}, () => {
  for (const left of [1, 2, 3, 4, 5])
    test(`when ${left} can still be made`, { skip }, async t => {
      const runtime = tmpfs(t, '64m', 2_000)
      const scene = await makeScene(t, { runtime })
      const witness = join(mkdtempSync(join(tmpdir(), 'bgtask-witness-')), 'witness')
      const supervisor = await scene.supervise()
      const { id } = await scene.background.addTask('test/witness-loop', { witness }, 'FOREVER')
      await scene.untilState(id, 'running')
      const spare = join(runtime, 'spare')
      mkdirSync(spare)
      const made: string[] = []
      assert.throws(() => {
        for (let n = 0; ; n++) {
          writeFileSync(join(spare, String(n)), '')
          made.push(join(spare, String(n)))
        }
      }, /ENOSPC/)
      for (const path of made.splice(0, left)) rmSync(path)
      const before = (await scene.task(id)).number
      const asked = Date.now()
      await wishFresh(scene.background.db, id, 'test', asked)
      ring(runtime)
      await until('the supervisor has tried', async () => {
        const { number, reason } = await scene.task(id)
        return number > before || (reason?.code === 'backing-off' && reason.at >= asked)
      })
      for (const path of made) rmSync(path, { force: true })
      await until('the loop is up', async () => (await scene.task(id)).number > before && scene.marked().length === 1)
      const signs = readFileSync(witness, 'utf8').split('\n').filter(Boolean)
      const spans = new Map<string, { first: bigint; last: bigint }>()
      for (const sign of signs) {
        const [, , number, , at] = sign.split(' ')
        const span = spans.get(number!) ?? { first: BigInt(at!), last: BigInt(at!) }
        spans.set(number!, { first: span.first, last: BigInt(at!) })
      }
      const inOrder = [...spans.values()].sort((a, b) => (a.first < b.first ? -1 : 1))
      for (const [index, span] of inOrder.slice(1).entries()) assert.ok(span.first > inOrder[index]!.last, 'two runs lived at once')
      assert.equal(await supervisor.stop(), 0)
      assert.deepEqual(scene.marked(), [])
    })
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
