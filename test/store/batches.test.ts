import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { type ClaimedTask, claimOfAction } from '../../app/store/claim-of-action.ts'
import { countEnded } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { endSucceeded } from '../../app/store/end-succeeded.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { actionsDue, listDueOf } from '../../app/store/list-due.ts'
import { listRuns } from '../../app/store/list-runs.ts'
import { cancelTask } from '../../app/store/wishes.ts'
import { dialects, freshDb, reopen } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const process_ = { pid: 7, startTicks: 8, bootId: 'b' }

for (const dialect of dialects) {
  describe(`claims and ends by the hundred on ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    before(async () => {
      db = await freshDb(dialect)
    })
    const add = async (tasks: Parameters<typeof newTask>[0][]) => (await insertTasks(db, tasks.map(newTask))).map(({ task }) => task.id)
    const claim = (action: string, limit: number, from: Db = db) =>
      claimOfAction(from, { action, limit, owner, process: process_, handedBefore: 10, down: null, now: Date.now() })
    const ends = (claimed: readonly ClaimedTask[], content: string | null = null) =>
      claimed.map(({ id, number }) => ({ taskId: id, number, action: 'a/ends', endedAt: 5_000, content, outputBytes: 3 }))

    test('the first by priority, due time and id are claimed, with the row of their runs', async () => {
      const [third, first, second] = await add([
        { action: 'a/first', priority: 1 },
        { action: 'a/first', params: { text: "it's\n“fine”" }, creator: 'olga' },
        { action: 'a/first' },
        { action: 'a/first', priority: 2 },
      ])
      const claimed = await claim('a/first', 3)
      assert.deepEqual(
        claimed.map(({ id, number, nth, attempt, keyed }) => ({ id, number, nth, attempt, keyed })),
        [first, second, third].map((id, index) => ({ id, number: 1, nth: 11 + index, attempt: 0, keyed: false })),
      )
      assert.deepEqual(JSON.parse(claimed[0]!.params), { text: "it's\n“fine”" })
      const task = (await findTask(db, first!))!
      assert.deepEqual([task.state, task.crashCount, task.number, task.reason?.code, task.reason?.number], ['running', 1, 1, 'started', 1])
      const [run] = await listRuns(db, first!, { limit: 5 })
      assert.deepEqual([run!.pid, run!.startTicks, run!.bootId, run!.residentTask, run!.outcome], [7, 8, 'b', 11, null])
      assert.equal((await claim('a/first', 10)).length, 1)
      assert.deepEqual(await claim('a/first', 10), [])
    })

    test('of several who claim at once each task goes to one', async () => {
      await add(Array.from({ length: 300 }, () => ({ action: 'a/race' })))
      const others = await Promise.all(Array.from({ length: 4 }, () => reopen(db.url)))
      const got: number[] = []
      await Promise.all(
        others.map(async other => {
          for (let rounds = 0; got.length < 300 && rounds < 200; rounds++)
            got.push(...(await claim('a/race', 25, other)).map(({ id }) => id))
        }),
      )
      assert.equal(got.length, 300)
      assert.equal(new Set(got).size, 300)
    })

    test('successes are recorded together, and counted', async () => {
      await add(Array.from({ length: 120 }, () => ({ action: 'a/ends' })))
      const before = (await countEnded(db, 0)).succeeded
      const claimed = await claim('a/ends', 120)
      assert.deepEqual(await claim('a/ends', 1), [])
      assert.equal(await endSucceeded(db, ends(claimed, 'ça va: “€ \\ \u0007'), owner.host), true)
      for (const { id } of [claimed[0]!, claimed[119]!]) {
        const task = (await findTask(db, id))!
        assert.deepEqual(
          [task.state, task.content, task.crashCount, task.host, task.epoch, task.finishedAt, task.reason?.code],
          ['succeeded', 'ça va: “€ \\ \u0007', 0, null, null, 5_000, 'succeeded'],
        )
        const [run] = await listRuns(db, id, { limit: 5 })
        assert.deepEqual([run!.outcome, run!.exitCode, run!.endedAt, run!.outputBytes], ['succeeded', 0, 5_000, 3])
      }
      assert.equal((await countEnded(db, 0)).succeeded, before + 120)
    })

    test('one that is not as it should be, and none is recorded', async () => {
      const cases: [string, (claimed: ClaimedTask[]) => Promise<unknown>][] = [
        ['cancelled', claimed => cancelTask(db, claimed[1]!.id, 'olga', Date.now())],
        ['recorded before', claimed => endSucceeded(db, ends(claimed.slice(1, 2)), owner.host)],
        ['begun again', async claimed => (claimed[1]!.number = 0)],
      ]
      for (const [why, spoil] of cases) {
        await add([{ action: 'a/spoilt' }, { action: 'a/spoilt' }, { action: 'a/spoilt' }])
        const claimed = await claim('a/spoilt', 3)
        await spoil(claimed)
        assert.equal(await endSucceeded(db, ends(claimed), owner.host), false, why)
        assert.equal((await findTask(db, claimed[0]!.id))!.state, 'running', why)
        assert.equal((await listRuns(db, claimed[0]!.id, { limit: 1 }))[0]!.outcome, null, why)
      }
      await add([{ action: 'a/keyed', uniqueKey: 'batch-key' }])
      const keyed = await claim('a/keyed', 3)
      assert.equal(keyed[0]!.keyed, true)
      assert.equal(await endSucceeded(db, ends(keyed), owner.host), false)
    })

    test('the actions of which tasks are due, and the first tasks of some of them', async () => {
      const [, low, high] = await add([{ action: 'b/one' }, { action: 'b/two', priority: 5 }, { action: 'b/three' }, { action: 'b/one' }])
      assert.deepEqual(await actionsDue(db), ['b/one', 'b/three', 'b/two'])
      assert.deepEqual(
        (await listDueOf(db, ['b/two', 'b/three'], 10)).map(({ id }) => id),
        [high, low],
      )
    })
  })
}
