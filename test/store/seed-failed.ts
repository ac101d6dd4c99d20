import { CompiledQuery } from 'kysely'
import type { Db } from '../../app/store/database.ts'

/** What all of them failed by. */
export const seededError = 'the seeded error'

/**
 * Tasks that have run once and failed, by INSERT … SELECT, counted as ever. Of each hundred `keyed` have a unique key.
 * @returns their ids, first and last: all in between are theirs
 */
export const seedFailed = async (
  db: Db,
  many: number,
  { action, creator, at, keyed = 0 }: { action: string; creator: string; at: number; keyed?: number },
): Promise<{ first: number; last: number }> => {
  const run = (sql: string, values: unknown[] = []) => db.kysely.executeQuery(CompiledQuery.raw(sql, values))
  const numbers = (count: number) =>
    db.dialect === 'sqlite'
      ? `(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count}) SELECT n FROM numbers) AS numbers`
      : `(SELECT seq AS n FROM seq_1_to_${count}) AS numbers`
  const before = await db.kysely.selectFrom('bg_task').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst()
  const letter = creator.charAt(0)
  for (let from = 0; from < many; from += atOnce) {
    const count = Math.min(atOnce, many - from)
    await run(
      'INSERT INTO bg_task (uid, action, params, exec_type, type, creator, state, wanted, content, reason, priority, run_at, unique_key, grace_ms, ' +
        'attempt, number, created_at, started_at, finished_at, updated_at, error_key) ' +
        `SELECT concat('${letter}', substr(concat('000000000000000', n + ${from}), -15)), ?, '{}', 'ONCE', '', ?, 'failed', 'up', ?, NULL, 0, ${at}, ` +
        `CASE WHEN n % 100 < ${keyed} THEN concat('${letter}-', n + ${from}) ELSE NULL END, ` +
        `10000, 1, 1, ${at}, ${at}, ${at}, ${at}, ? FROM ${numbers(count)} WHERE n > 0`,
      [action, creator, seededError, `error of ${creator}`],
    )
  }
  const rows = db.kysely.selectFrom('bg_task').where('id', '>', Number(before?.id ?? 0))
  const { first, last } = await rows
    .select(({ fn }) => [fn.min<number>('id').as('first'), fn.max<number>('id').as('last')])
    .executeTakeFirstOrThrow()
  for (let from = Number(first); from <= Number(last); from += atOnce)
    await run(
      'INSERT INTO bg_run (task_id, number, host, epoch, started_at, ended_at, outcome, content, attempt) ' +
        `SELECT id, 1, 'host', 'e', ${at}, ${at}, 'failed', ?, 0 FROM bg_task WHERE id >= ${from} AND id < ${from + atOnce} AND id <= ${Number(last)}`,
      [seededError],
    )
  const upsert = db.dialect === 'sqlite' ? 'ON CONFLICT (name, state, day, host) DO UPDATE SET n = n +' : 'ON DUPLICATE KEY UPDATE n = n +'
  await run(`INSERT INTO bg_counter (name, state, day, host, n) VALUES ('ended', 'failed', 0, 'host', ${many}) ${upsert} ${many}`)
  await run('INSERT INTO bg_error (error_key, action, sample, n, first_at, last_at, last_task) VALUES (?, ?, ?, ?, ?, ?, ?)', [
    `error of ${creator}`,
    action,
    seededError,
    many,
    at,
    at,
    Number(last),
  ])
  if (db.dialect === 'mysql') await run('ANALYZE TABLE bg_task, bg_run')
  return { first: Number(first), last: Number(last) }
}

/** A statement must end within the time limit that every statement has. */
const atOnce = 5_000
