import assert from 'node:assert/strict'
import type { Db } from '../../app/store/database.ts'
import { listRunCounts } from '../../app/store/run-counts.ts'

/** Ends of the runs whose rows are there, by `<action> <outcome>`: how many, and when the last was. */
export const endsInRows = async ({ kysely }: Db): Promise<Map<string, { n: number; lastAt: number }>> => {
  const rows = await kysely
    .selectFrom('bg_run')
    .innerJoin('bg_task', 'bg_task.id', 'bg_run.task_id')
    .select(({ fn }) => ['action', 'outcome', fn.countAll<number>().as('n'), fn.max('ended_at').as('last_at')])
    .where('outcome', 'is not', null)
    .groupBy(['action', 'outcome'])
    .execute()
  return new Map(rows.map(row => [`${row.action} ${row.outcome}`, { n: Number(row.n), lastAt: Number(row.last_at) }]))
}

/** For a database from which no run was removed: each end was counted once. To be asked when nothing ends any more. */
export const assertEachCounted = async (db: Db): Promise<void> => {
  const counted = (await listRunCounts(db, 10_000)).map(
    ({ action, outcome, n, lastAt }) => [`${action} ${outcome}`, { n, lastAt }] as const,
  )
  assert.ok(counted.length > 0)
  assert.deepEqual(Object.fromEntries(counted), Object.fromEntries(await endsInRows(db)), 'each end is counted once')
}
