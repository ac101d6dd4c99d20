import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isFinal } from '../../app/task/task.ts'
import { assertEachCounted } from '../helpers/counted-runs.ts'
import { makeScene, overlaps, until } from '../helpers/scene.ts'

const kills = 30
const loops = 20

test(`a supervisor killed ${kills} times: no loop runs twice, no task is lost, each ends once, and no output has a gap`, async t => {
  const scene = await makeScene(t)
  const { background, witness } = scene
  const seed = Number(process.env.BGTASK_SEED ?? Date.now() % 1_000_000)
  t.diagnostic(`BGTASK_SEED=${seed}`)
  const random = randomFrom(seed)
  let supervisor = await scene.supervise()
  const loopIds: number[] = []
  for (let n = 0; n < loops; n++) loopIds.push((await background.addTask('test/witness-loop', { witness, intervalMs: 25 }, 'FOREVER')).id)
  for (const id of loopIds) await scene.untilState(id, 'running')

  const onceIds: number[] = []
  let adding = true
  const stream = (async () => {
    while (adding) {
      onceIds.push((await background.addTask('test/witness-once', { witness, ms: Math.round(random() * 200) })).id)
      await delay(40 + random() * 120)
    }
  })()
  for (let kill = 0; kill < kills; kill++) {
    await delay(random() * 700)
    await supervisor.kill()
    supervisor = await scene.supervise()
  }
  adding = false
  await stream
  for (const id of onceIds) await until(`task ${id} has ended`, async () => isFinal((await scene.task(id)).state), 60_000)
  for (const id of loopIds) await scene.untilState(id, 'running')

  const witnessed = scene.witnessed()
  assert.deepEqual(overlaps(witnessed), [], 'no two runs of one task lived at once')
  for (const id of loopIds) {
    assert.equal(
      new Set(witnessed.filter(sign => sign.taskId === id).map(sign => sign.number)).size,
      1,
      `loop ${id} lived through all of it in one run`,
    )
  }
  for (const id of onceIds) {
    assert.equal((await scene.task(id)).state, 'succeeded')
    const runs = await scene.runs(id)
    assert.equal(runs.filter(run => run.outcome === 'succeeded').length, 1, `task ${id} succeeded once`)
    assert.ok(
      runs.every(run => run.outcome !== null),
      `every run of task ${id} has its end`,
    )
    assert.equal(witnessed.filter(sign => sign.taskId === id && sign.what === 'end').length, 1, `task ${id} did its work once`)
  }
  assert.ok(onceIds.length > 100, `${onceIds.length} tasks were added meanwhile`)
  assert.equal(await supervisor.stop(), 0)
  await assertEachCounted(background.db)
  assert.deepEqual(scene.marked(), [], 'nothing is left alive')
})

const randomFrom = (seed: number) => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
