import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { deleteTask, wishDown } from '../../app/store/wishes.ts'
import { type OutcomeKind, outcomeKinds } from '../../app/task/outcome.ts'
import { EXEC_TYPE_FOREVER } from '../../app/task/task.ts'
import { buildServer } from '../../app/web/server.ts'
import { endsInRows } from '../helpers/counted-runs.ts'
import { parseMetrics } from '../helpers/parse-metrics.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

const once = { rerunAfterCrash: false }

/** What a panel over the scene tells of runs, anew each time; and that no count is less than it was told before. */
const openCounts = async (t: TestContext, { config, background }: Scene) => {
  const app = await buildServer(config, { background })
  t.after(() => app.close())
  let before = new Map<string, number>()
  return async () => {
    const answer = await app.inject({ url: '/metrics', headers: { host: `127.0.0.1:${config.port}` } })
    assert.equal(answer.statusCode, 200, answer.body)
    const told = parseMetrics(answer.body)
    const samples = told.get('bgtask_runs_total')?.samples ?? []
    const counts = new Map(samples.map(({ labels, value }) => [`${labels.action} ${labels.outcome}`, value]))
    for (const [key, n] of before) assert.ok(counts.get(key)! >= n, `${key} was ${n} and is ${counts.get(key)}`)
    before = counts
    const successes = told.get('bgtask_action_last_success_timestamp_seconds')?.samples ?? []
    return {
      counts,
      of: (action: string, outcome: OutcomeKind) => counts.get(`${action} ${outcome}`),
      lastSuccess: new Map(successes.map(({ labels, value }) => [labels.action!, value])),
    }
  }
}

for (const dialect of dialects) {
  describe(`runs are counted on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('by each way to end, over the deaths of supervisors, and after their tasks are gone', { timeout: 180_000 }, async t => {
      const env = { BGTASK_METRICS: 'open', NODE_OPTIONS: '--max-old-space-size=96', BGTASK_CHILD_ENV: 'NODE_OPTIONS' }
      const scene = await makeScene(t, { databaseUrl: await dialect.newUrl(), env })
      const { background } = scene
      const read = await openCounts(t, scene)
      const add = async (action: string, params: object, options: object = once) => (await background.addTask(action, params, options)).id
      const processOf = (id: number, number = 1) =>
        until('it has a process', () => scene.marked().find(({ mark }) => mark.includes(`/${id}-${number}/`))?.pid)

      // The actions have to be described first.
      const none = await until('they are told', async () => {
        const now = await read()
        return now.counts.size > 0 && now
      })
      assert.deepEqual([...new Set(none.counts.values())], [0], 'what did not happen yet is told as 0, so that the first time is a rise')
      assert.ok(outcomeKinds.every(outcome => none.of('test/fails', outcome) === 0))
      assert.equal(none.lastSuccess.size, 0)

      const first = await scene.supervise()
      const ended = [
        await add('test/ok', {}),
        await add('test/ok', {}),
        await add('test/fails', {}),
        await add('test/exits-3', {}),
        await add('test/hangs', {}, { ...once, timeoutMs: 300, graceMs: 200 }),
        ...(await Promise.all(Array.from({ length: 5 }, () => add('test/resident/one', {})))),
        await add('test/resident/one', { do: 'throw', text: 'no' }),
      ]
      const crashing = await add('test/crashes-at-once', {}, { execType: EXEC_TYPE_FOREVER })
      const looping = await add('test/forever', {}, { execType: EXEC_TYPE_FOREVER })
      const killed = await add('test/awaits-signal', {})
      process.kill(await processOf(killed), 'SIGKILL')
      const cancelled = await add('test/awaits-signal', {})
      await processOf(cancelled)
      await scene.untilState(cancelled, 'running')
      await background.cancelTask(cancelled)
      for (const id of [...ended, killed, cancelled]) await scene.untilState(id, ['succeeded', 'failed', 'cancelled'], 60_000)
      await scene.untilState(looping, 'running')
      process.kill(await processOf(looping), 'SIGKILL')
      await scene.untilState(await add('test/exhausts-heap', {}), 'failed', 90_000)

      // Nobody watches when it ends.
      const lost = await add('test/hangs', {})
      const lostPid = await processOf(lost)
      await scene.untilState(lost, 'running')
      await first.kill()
      process.kill(lostPid, 'SIGKILL')
      const second = await scene.supervise()
      await scene.untilState(lost, 'failed')

      const interrupted = await add('test/hangs', {}, { ...once, graceMs: 300 })
      await processOf(interrupted)
      await scene.untilState(interrupted, 'running')
      await wishDown(background.db, crashing, 'test', Date.now())
      await scene.untilState(crashing, 'stopped')
      await second.stop()

      const rows = await endsInRows(background.db)
      const told = await until('all of it is told', async () => {
        const now = await read()
        const sum = (values: Iterable<number>) => [...values].reduce((total, n) => total + n, 0)
        return sum(now.counts.values()) === sum([...rows.values()].map(({ n }) => n)) && now
      })
      for (const [key, { n }] of rows) assert.equal(told.counts.get(key), n, key)
      const ofEach: [string, OutcomeKind, number][] = [
        ['test/ok', 'succeeded', 2],
        ['test/resident/one', 'succeeded', 5],
        ['test/resident/one', 'failed', 1],
        ['test/fails', 'failed', 1],
        ['test/exits-3', 'exited', 1],
        ['test/awaits-signal', 'killed', 1],
        ['test/awaits-signal', 'cancelled', 1],
        ['test/hangs', 'timed-out', 1],
        ['test/hangs', 'lost', 1],
        ['test/hangs', 'interrupted', 1],
        ['test/exhausts-heap', 'out-of-memory', 1],
        ['test/forever', 'killed', 1],
      ]
      for (const [action, outcome, n] of ofEach) assert.equal(told.of(action, outcome), n, `${action} ${outcome}`)
      assert.deepEqual(new Set(ofEach.map(([, outcome]) => outcome)), new Set(outcomeKinds), 'every outcome was met')
      assert.ok([...rows].some(([key, { n }]) => key.startsWith('test/crashes-at-once ') && n > 1))

      for (const action of ['test/ok', 'test/resident/one'])
        assert.equal(told.lastSuccess.get(action)! * 1_000, rows.get(`${action} succeeded`)!.lastAt, action)
      assert.equal(told.lastSuccess.has('test/fails'), false, 'it never did')

      for (const id of [...ended, crashing]) assert.equal(await deleteTask(background.db, id), true)
      const third = await scene.supervise()
      await scene.untilState(await add('test/ok', {}), 'succeeded')
      const last = await until('one more is told', async () => {
        const now = await read()
        return now.of('test/ok', 'succeeded') === 3 && now
      })
      assert.equal(last.of('test/fails', 'failed'), 1)
      assert.ok(last.lastSuccess.get('test/ok')! > told.lastSuccess.get('test/ok')!)
      await third.stop()
    })
  })
}
