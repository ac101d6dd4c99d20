import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RunEnd } from '../../app/runs/outcome-file.ts'
import type { Db } from '../../app/store/database.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { listLoopErrors, mostLoopErrors, noteThrownErrors } from '../../app/store/loop-errors.ts'
import { pruneRows } from '../../app/store/prune.ts'
import { saveLoops } from '../../app/store/save-loops.ts'
import { deleteTask, wishDown } from '../../app/store/wishes.ts'
import type { ThrownError } from '../../app/task/thrown-errors.ts'
import { runEnd } from '../helpers/run-end.ts'
import { dialects, freshDb } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const now = 1_700_000_000_000
const end = (more: Partial<RunEnd> = {}): RunEnd => runEnd('exited', now, { exitCode: 3, ...more })
const thrown = (word: string, n: number, lastAt: number): ThrownError => ({ pattern: word, sample: `${word}!`, n, firstAt: now, lastAt })

for (const dialect of dialects) {
  describe(`errors of loops on ${dialect.name}`, { skip: dialect.skip }, () => {
    const loopOf = async (db: Db) => (await insertTasks(db, [newTask({ execType: 'FOREVER' })]))[0]!.task.id
    const endLife = (db: Db, taskId: number, number: number, how: RunEnd) =>
      saveLoops(db, owner, { facts: [], starts: [], ends: [{ taskId, number, end: how }] })
    const counts = async (db: Db, id: number) => (await listLoopErrors(db, id, 50)).map(({ sample, count }) => [sample, count])

    test('a life that ended badly is counted once however often its end is saved; one that was wanted to end is not', async () => {
      const db = await freshDb(dialect)
      const id = await loopOf(db)
      for (let times = 0; times < 3; times++) await endLife(db, id, 1, end())
      await endLife(db, id, 2, end({ kind: 'failed', content: 'row 17 is locked', exitCode: 1, endedAt: now + 5 }))
      await endLife(db, id, 3, end({ kind: 'failed', content: 'row 18 is locked', exitCode: 1, endedAt: now + 9 }))
      for (const [number, kind] of [
        [4, 'succeeded'],
        [5, 'interrupted'],
        [6, 'cancelled'],
      ] as const)
        await endLife(db, id, number, end({ kind }))
      await endLife(db, id, 7, end({ kind: 'exited', recycled: true }))
      assert.deepEqual(await listLoopErrors(db, id, 50), [
        { sample: 'row 18 is locked', count: 2, firstAt: now + 5, lastAt: now + 9, lastNumber: 3, isPrinted: true },
        { sample: 'exited: exit code 3', count: 1, firstAt: now, lastAt: now, lastNumber: 1, isPrinted: false },
      ])
      assert.equal((await listLoopErrors(db, id, 1)).length, 1)
    })

    test('of what iterations threw only what is new is added, whoever writes it, and lives that end by it go with it', async () => {
      const db = await freshDb(dialect)
      const id = await loopOf(db)
      const note = (number: number, ...errors: ThrownError[]) => noteThrownErrors(db, [{ taskId: id, number, errors }])
      await note(1, thrown('a', 5, now + 1), thrown('b', 1, now + 2))
      await note(1, thrown('a', 5, now + 1), thrown('b', 1, now + 2))
      await note(1, thrown('a', 8, now + 3))
      assert.deepEqual(await counts(db, id), [
        ['a!', 8],
        ['b!', 1],
      ])
      // A life that ends by the same, and the next one, which begins to count anew.
      await endLife(db, id, 1, end({ kind: 'failed', content: 'a', endedAt: now + 4 }))
      await note(1, thrown('a', 9, now + 4))
      await note(2, thrown('a', 2, now + 6))
      await note(2, thrown('a', 3, now + 7))
      assert.deepEqual(await counts(db, id), [
        ['a!', 13],
        ['b!', 1],
      ])
      // Forgotten by the runner meanwhile, and met again.
      await note(2, thrown('a', 1, now + 8))
      assert.deepEqual((await listLoopErrors(db, id, 1))[0], {
        sample: 'a!',
        count: 14,
        firstAt: now,
        lastAt: now + 8,
        lastNumber: 2,
        isPrinted: true,
      })
      await Promise.all([1, 2, 3, 4].map(n => note(3, thrown('c', n, now + 10), thrown('d', 2, now + 9))))
      assert.ok((await counts(db, id)).some(([sample]) => sample === 'c!'))
    })

    test('no more than so many are kept, those met last; old ones are pruned, and all go with their loop', async () => {
      const db = await freshDb(dialect)
      const [id, other, gone] = [await loopOf(db), await loopOf(db), 999_999]
      const many = Array.from({ length: mostLoopErrors + 30 }, (_, n) => thrown(`e${n}`, 1, now + n))
      await noteThrownErrors(db, [
        { taskId: id, number: 1, errors: many },
        { taskId: other, number: 1, errors: [thrown('x', 1, now)] },
        { taskId: gone, number: 1, errors: [thrown('x', 1, now)] },
      ])
      const kept = await listLoopErrors(db, id, 1_000)
      assert.deepEqual([kept.length, kept[0]!.sample, kept.at(-1)!.sample], [mostLoopErrors, `e${mostLoopErrors + 29}!`, 'e30!'])
      assert.deepEqual(await listLoopErrors(db, gone, 9), [])
      await pruneRows(db, { keepRuns: 5, endedBefore: now + 40, limit: 10 })
      assert.deepEqual((await listLoopErrors(db, id, 1_000)).at(-1)!.sample, 'e40!')
      assert.deepEqual(await listLoopErrors(db, other, 9), [])
      await wishDown(db, id, 'eva', now)
      assert.equal(await deleteTask(db, id), true)
      assert.deepEqual(await listLoopErrors(db, id, 9), [])
    })
  })
}
