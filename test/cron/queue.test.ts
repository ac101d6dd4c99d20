import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { queueOf } from '../../app/api/queue.ts'
import type { BgtaskError } from '../../app/errors.ts'
import { CronLockLost, closeCronRun, openCronRun, releaseCronLock, takeCronLock } from '../../app/store/cron.ts'
import { beginPart, endPart, keepParts, listParts } from '../../app/store/cron-parts.ts'
import type { Db } from '../../app/store/database.ts'
import { claimItem, countItems, freeHeldByCron, putBack, setAside } from '../../app/store/queue-items.ts'
import { discardAside, findItem, listAside, queueStand, queuesWithItems, returnAllAside, returnAside } from '../../app/store/queues.ts'
import { dialects, freshDb, reopen } from '../store/dialects.ts'

/** Whoever runs cron holds its lock. */
const cron = 'the lock of a run'
const lock = { token: cron, host: 'a', pid: process.pid, startTicks: 1, bootId: 'b', taskId: 1, at: 1 }

for (const dialect of dialects) {
  describe(`queues on ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    before(async () => {
      db = await freshDb(dialect)
      assert.equal(await takeCronLock(db, lock, null), true)
    })
    const queue = <Data>(name: string) => queueOf<Data>(name, async () => ({ db }))

    test('an item is made, claimed, held, and gone when it is deleted; the oldest comes first', async () => {
      const letters = queue<{ to: string }>('letters')
      const first = await letters.createItem({ to: 'ada' })
      await letters.createItem({ to: 'ben' })
      assert.equal(await letters.numberOfItems(), 2)
      const item = (await letters.claimItem())!
      assert.deepEqual([item.id, item.data, item.failures], [first, { to: 'ada' }, 0])
      assert.equal((await letters.claimItem())!.data.to, 'ben')
      assert.equal(await letters.claimItem(), null)
      assert.equal(await letters.deleteItem(item), true)
      assert.equal(await letters.deleteItem(item), false)
      assert.equal(await letters.numberOfItems(), 1)
    })

    test('released, it waits again at its old place', async () => {
      const again = queue<string>('again')
      await again.createItem('a')
      await again.createItem('b')
      const item = (await again.claimItem())!
      assert.equal(await again.releaseItem(item), true)
      assert.equal((await again.claimItem())!.data, 'a')
      assert.equal(await again.releaseItem(item), false, 'the claim is another one by now')
    })

    test('a lease that is over lets the next one have it, and the first may change nothing any more', async () => {
      const leased = queue<string>('leased')
      await leased.createItem('x')
      const now = Date.now()
      const first = (await claimItem(db, 'leased', { now, leaseMs: 1_000 }))!
      assert.equal(await claimItem(db, 'leased', { now: now + 999, leaseMs: 1_000 }), null)
      const second = (await claimItem(db, 'leased', { now: now + 1_000, leaseMs: 1_000 }))!
      assert.equal(second.id, first.id)
      assert.equal(await leased.deleteItem({ id: first.id, claim: first.claim! }), false)
      assert.equal(await leased.deleteItem({ id: second.id, claim: second.claim! }), true)
    })

    test("within the caller's transaction: there when it commits, and only then", async () => {
      const outbox = queue<string>('outbox')
      await db.kysely.transaction().execute(async trx => {
        await outbox.createItem('kept', { trx })
      })
      const takenBack = db.kysely.transaction().execute(async trx => {
        await outbox.createItem('taken back', { trx })
        throw new Error('rolled back')
      })
      await assert.rejects(takenBack, /rolled back/)
      assert.equal(await outbox.numberOfItems(), 1)
    })

    test('what cannot be stored, and what is no item, is refused in a sentence', async () => {
      const refused = (message: RegExp) => (error: BgtaskError) => error.code === 'refused' && message.test(error.message)
      assert.throws(() => queue('no name'), refused(/The queue is "no name"; its name must be a letter/))
      await assert.rejects(queue('q').createItem(undefined as never), refused(/data is undefined/))
      await assert.rejects(queue('q').createItem('x'.repeat(70_000)), refused(/data is 70,002 bytes of JSON/))
      await assert.rejects(queue('q').claimItem(-1), refused(/The lease is -1; it must be a number of seconds/))
      await assert.rejects(queue('q').deleteItem({} as never), refused(/give the one that claimItem returned/))
      assert.equal(await countItems(db, 'q'), 0)
    })

    test('what a cron run held that died is free again, behind the others; what others hold stays theirs', async () => {
      const mixed = queue<string>('mixed')
      for (const data of ['cron', 'mine', 'next']) await mixed.createItem(data)
      const now = Date.now()
      const died = (await claimItem(db, 'mixed', { now, leaseMs: 60_000, cron }))!
      assert.equal(died.failures, 1, 'the try is counted before it is made')
      const mine = (await mixed.claimItem())!
      assert.equal(await freeHeldByCron(db, cron, now + 5), 1)
      assert.equal(await mixed.deleteItem(mine), true)
      assert.equal((await mixed.claimItem())?.data, 'next')
      assert.match((await findItem(db, died.id))!.error!, /process of the cron run ended/)
    })

    test('who has lost the lock of cron to another writes no more as its run: not a claim, not a part, not an end', async () => {
      const lost = queue<number>('lost')
      for (let n = 0; n < 12; n++) await lost.createItem(n)
      const now = Date.now()
      const part = { kind: 'queue', name: 'lost', module: 'letters', taskId: 7, number: 1, startedAt: now } as const
      await beginPart(db, cron, part)
      const held = (await claimItem(db, 'lost', { now, leaseMs: 60_000, cron }))!
      assert.equal(await takeCronLock(db, { ...lock, token: 'another', host: 'b' }, { token: cron, beat: 0 }), true)
      try {
        assert.equal(await claimItem(db, 'lost', { now, leaseMs: 60_000, cron }), null)
        for (const write of [
          () => freeHeldByCron(db, cron, now),
          () => beginPart(db, cron, { ...part, number: 2 }),
          () => endPart(db, cron, part, { endedAt: now, outcome: 'done', error: null }),
          () => keepParts(db, cron, []),
          () => openCronRun(db, cron, part),
          () => closeCronRun(db, cron, 7),
        ])
          await assert.rejects(write, CronLockLost)
        assert.deepEqual(
          (await listParts(db)).map(({ name, number, outcome }) => [name, number, outcome]),
          [['lost', 1, null]],
        )
        assert.equal(await freeHeldByCron(db, 'another', now), 1, 'the other one frees what it held')
        const again = (await claimItem(db, 'lost', { now, leaseMs: 60_000, cron: 'another', after: { freeAt: now - 1, id: held.id } }))!
        assert.notEqual(again.claim, held.claim)
      } finally {
        await freeHeldByCron(db, 'another', now)
        await releaseCronLock(db, 'another')
        assert.equal(await takeCronLock(db, lock, null), true)
      }
    })

    test('set aside, nobody gets it; it can be put back or discarded, one or all', async () => {
      const bad = queue<number>('bad')
      for (const n of [1, 2, 3]) await bad.createItem(n)
      const ids: number[] = []
      for (const n of [1, 2, 3]) {
        const item = (await claimItem(db, 'bad', { now: Date.now(), leaseMs: 1_000, cron }))!
        ids.push(item.id)
        assert.equal(await setAside(db, { id: item.id, claim: item.claim! }, { now: 1_000 + n, error: `why ${n}` }), true)
      }
      assert.equal(await bad.claimItem(), null)
      assert.equal(await freeHeldByCron(db, cron, Date.now()), 0)
      assert.deepEqual(await queueStand(db, 'bad'), { waiting: 0, aside: 3, oldestAt: null })
      assert.ok((await queuesWithItems(db)).includes('bad'))
      const [newest, ...older] = await listAside(db, 'bad', { limit: 10 })
      assert.deepEqual([newest!.id, newest!.error, older.length], [ids[2], 'why 3', 2])
      assert.deepEqual(
        (await listAside(db, 'bad', { limit: 10, before: newest! })).map(({ id }) => id),
        [ids[1], ids[0]],
      )
      assert.equal(await returnAside(db, ids[0]!, Date.now()), true)
      assert.equal(await returnAside(db, ids[0]!, Date.now() + 1), false)
      assert.equal((await bad.claimItem())!.failures, 0)
      assert.equal(await discardAside(db, ids[1]!), true)
      assert.equal(await discardAside(db, ids[1]!), false)
      assert.equal(await discardAside(db, ids[0]!), false, 'one that is not set aside stays')
      assert.equal(await returnAllAside(db, 'bad', Date.now()), 1)
      assert.equal((await queueStand(db, 'bad')).aside, 0)
    })

    test('a place is passed once: what failed there is met only in a later run', async () => {
      const passed = queue<string>('passed')
      await passed.createItem('a')
      await passed.createItem('b')
      const now = Date.now()
      const a = (await claimItem(db, 'passed', { now, leaseMs: 1_000, cron }))!
      await putBack(db, { id: a.id, claim: a.claim! }, { freeAt: a.place.freeAt, failures: a.failures })
      const b = (await claimItem(db, 'passed', { now, leaseMs: 1_000, cron, after: a.place }))!
      assert.equal(b.data, 'b')
      assert.equal(await claimItem(db, 'passed', { now, leaseMs: 1_000, cron, after: b.place }), null)
      assert.equal((await claimItem(db, 'passed', { now, leaseMs: 1_000, cron }))!.data, 'a')
    })

    test('several processes work one queue: each item is done once, and none is lost', async () => {
      const url = await dialect.newUrl()
      await freshOf(url)
      const each = 120
      const racer = fileURLToPath(new URL('queue-racer.ts', import.meta.url))
      const done = await Promise.all(
        ['a', 'b', 'c'].map(async name => {
          const { stdout } = await promisify(execFile)(process.execPath, [racer, url, name, String(each), '60000'], { timeout: 120_000 })
          return JSON.parse(stdout) as number[]
        }),
      )
      const all = done.flat()
      const left = await countItems(await reopen(url), 'raced')
      assert.equal(new Set(all).size, all.length, 'no item twice')
      assert.equal(all.length + left, 3 * each, 'none lost')
      assert.equal(left, 0)
    })
  })
}

const freshOf = async (url: string) => {
  const { migrate } = await import('../../app/store/migrate.ts')
  await migrate(await reopen(url))
}
