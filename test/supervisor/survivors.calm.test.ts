import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ring } from '../../app/runs/doorbell.ts'
import { readStat } from '../../app/runs/process-identity.ts'
import { cancelTask, wishDown } from '../../app/store/wishes.ts'
import { makeScene, until } from '../helpers/scene.ts'

// A frozen process takes its SIGKILL only when it is thawed: the nearest thing to one that hangs in the kernel.
const freezer = `/sys/fs/cgroup/freezer/bgtask-test-${process.pid}`
const freezable = () => {
  try {
    mkdirSync(freezer)
    rmdirSync(freezer)
    return false
  } catch {
    return 'no process can be frozen by this user here (cgroup v1 freezer)'
  }
}

test('what resists SIGKILL is shown as such, and never hidden', { skip: freezable() }, async t => {
  const scene = await makeScene(t)
  const supervisor = await scene.supervise()
  mkdirSync(freezer)
  const thaw = () => writeFileSync(join(freezer, 'freezer.state'), 'THAWED')
  t.after(async () => {
    thaw()
    await until('the cgroup is empty', () => readFileSync(join(freezer, 'cgroup.procs'), 'utf8') === '')
    rmdirSync(freezer)
  })
  const once = await scene.background.addTask('test/escaped-grandchild', {}, { graceMs: 300 })
  const loop = await scene.background.addTask('test/forever', {}, { execType: 'FOREVER', graceMs: 300 })
  for (const { id } of [once, loop]) await scene.untilState(id, 'running')
  const output = join(scene.runtime, 'runs', `${once.id}-1`, 'output.log')
  const grandchild = await until(
    'the grandchild says who it is',
    () => Number(/grandchild (\d+)/.exec(readFileSync(output, 'utf8'))?.[1]) || null,
  )
  const leader = scene.marked().find(({ mark }) => mark.includes(`/${loop.id}-1/`))!.pid
  for (const pid of [grandchild, leader]) writeFileSync(join(freezer, 'cgroup.procs'), String(pid))
  writeFileSync(join(freezer, 'freezer.state'), 'FROZEN')

  await cancelTask(scene.background.db, once.id, 'test', Date.now())
  await wishDown(scene.background.db, loop.id, 'test', Date.now())
  ring(scene.runtime)
  await scene.untilState(once.id, 'cancelled')
  assert.match((await scene.runs(once.id))[0]!.error ?? '', new RegExp(`Still alive after SIGKILL: ${grandchild} `))
  const stuck = await until('the loop says what resists', async () => {
    const task = await scene.task(loop.id)
    return task.reason?.code === 'survivors' ? task : null
  })
  assert.equal(stuck.state, 'stopping')
  assert.match(stuck.reason!.detail!, new RegExp(`^${leader} `))
  assert.ok(readStat(leader), 'it is still there')
  thaw()
  await scene.untilState(loop.id, 'stopped')
  assert.deepEqual(scene.marked(), [], 'thawed, nothing is left')
  await supervisor.stop()
})
