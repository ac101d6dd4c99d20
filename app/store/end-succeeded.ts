import { CompiledQuery } from 'kysely'
import { noteEnded } from './counters.ts'
import type { Db } from './database.ts'
import { noteRunEnds } from './run-counts.ts'
import { transact } from './transact.ts'

/** A run of a ONCE task that did what it should, and whose end concerns no other task. */
export interface SucceededRun {
  taskId: number
  number: number
  action: string
  endedAt: number
  content: string | null
  outputBytes: number | null
}

/**
 * Records many such ends by a few statements in one transaction: what most ends of a busy queue are, for a fraction of what `endOnceMany` takes.
 * @returns false, with nothing recorded, when one of them is not as it should be (cancelled meanwhile, recorded before, holder of a unique key,
 * begun again): then each has to be looked at, by `endOnceMany`
 */
export const endSucceeded = async (db: Db, ends: readonly SucceededRun[], host: string, now = Date.now()): Promise<boolean> => {
  if (ends.length === 0) return true
  // Everybody locks in the order of ids, so that two who end tasks never wait for each other.
  const ordered = [...ends].sort((a, b) => a.taskId - b.taskId)
  const list = JSON.stringify(
    ordered.map(({ taskId, number, endedAt, content, outputBytes }) => [taskId, number, endedAt, content, outputBytes]),
  )
  const texts = db.dialect === 'sqlite' ? sqlite : mysql
  try {
    await transact(db, async trx => {
      const affected = async (sql: string, given: unknown[]) =>
        Number((await trx.executeQuery(CompiledQuery.raw(sql, given))).numAffectedRows)
      const reason = `{"code":"succeeded","at":${now},"number":`
      if ((await affected(texts.task, texts.listFirst ? [list, reason, now] : [reason, now, list])) !== ends.length) throw new NotAllPlain()
      if ((await affected(texts.run, [list])) !== ends.length) throw new NotAllPlain()
      await noteEnded(db, trx, [{ state: 'succeeded', n: ends.length }], host, now)
      const counted = ends.map(({ action, endedAt }) => ({ action, outcome: 'succeeded', endedAt }) as const)
      await noteRunEnds(db, trx, counted, host)
    })
    return true
  } catch (error) {
    if (error instanceof NotAllPlain) return false
    throw error
  }
}

class NotAllPlain extends Error {}

const sqliteList =
  '(SELECT value ->> 0 AS id, value ->> 1 AS number, value ->> 2 AS ended_at, value ->> 3 AS content, value ->> 4 AS output_bytes FROM json_each(?)) e'
const sqlite = {
  // The plus signs keep SQLite from coming to the rows by what they have in common, and not by their ids.
  listFirst: false,
  task: `UPDATE bg_task SET state = 'succeeded', crash_count = 0, content = e.content, reason = ? || e.number || '}', due = NULL, host = NULL,
    epoch = NULL, updated_at = ?, finished_at = e.ended_at FROM ${sqliteList}
    WHERE bg_task.id = e.id AND bg_task.number = e.number AND +bg_task.state = 'running' AND +bg_task.wanted = 'up' AND +bg_task.unique_key IS NULL`,
  run: `UPDATE bg_run SET ended_at = e.ended_at, outcome = 'succeeded', exit_code = 0, content = e.content, output_bytes = e.output_bytes
    FROM ${sqliteList} WHERE bg_run.task_id = e.id AND bg_run.number = e.number AND bg_run.outcome IS NULL`,
}

const mysqlList = `JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', number BIGINT PATH '$[1]', ended_at BIGINT PATH '$[2]',
    content LONGTEXT PATH '$[3]', output_bytes BIGINT PATH '$[4]')) e`
const mysql = {
  listFirst: true,
  // Joined from the list, so that each row is come to by its id, whatever the server believes of the table.
  task: `UPDATE ${mysqlList} STRAIGHT_JOIN bg_task t FORCE INDEX (PRIMARY) ON t.id = e.id
    SET t.state = 'succeeded', t.crash_count = 0, t.content = e.content, t.reason = CONCAT(?, e.number, '}'), t.due = NULL, t.host = NULL,
    t.epoch = NULL, t.updated_at = ?, t.finished_at = e.ended_at
    WHERE t.number = e.number AND t.state = 'running' AND t.wanted = 'up' AND t.unique_key IS NULL`,
  run: `UPDATE ${mysqlList} STRAIGHT_JOIN bg_run r FORCE INDEX (PRIMARY) ON r.task_id = e.id AND r.number = e.number
    SET r.ended_at = e.ended_at, r.outcome = 'succeeded', r.exit_code = 0, r.content = e.content, r.output_bytes = e.output_bytes
    WHERE r.outcome IS NULL`,
}
