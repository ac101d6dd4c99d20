import { CompiledQuery, type Transaction } from 'kysely'
import type { ProcessIdentity } from '../runs/process-identity.ts'
import { dueAtOf } from '../task/lateness.ts'
import type { Reason } from '../task/task.ts'
import type { Db } from './database.ts'
import type { Down } from './hosts.ts'
import type { Tables } from './tables.ts'
import { transact } from './transact.ts'

/** What a resident runner is handed of a task: its params stay the text that they are stored as. */
export interface ClaimedTask {
  id: number
  uid: string
  /** Of the run that has been claimed. */
  number: number
  /** JSON. */
  params: string
  type: string
  creator: string
  attempt: number
  timeoutMs: number | null
  graceMs: number
  /** It holds a unique key, so its end may concern another task. */
  keyed: boolean
  /** It is the so-manieth task of its resident runner. */
  nth: number
}

export interface Claim {
  action: string
  limit: number
  owner: { host: string; epoch: string }
  /** The resident runner that will be handed them, and how many it has been handed before. */
  process: ProcessIdentity
  handedBefore: number
  /** When no supervisor ran here last: told of runs that were due before its end. */
  down: Down | null
  now: number
}

/**
 * Takes the first due tasks of an action, with the rows of their runs, in one commit, since the commit is what costs. Nothing is taken unless it
 * is still waiting as it was seen, so of several who try, one gets each.
 * The answer may be lost with the connection: then the rows say that they run here while nobody holds them, which whoever reads them mends.
 * @returns in the order in which they shall run
 */
export const claimOfAction = async (db: Db, claim: Claim): Promise<ClaimedTask[]> => {
  // The commit of a broken connection may have been made; to try again might take twice as many as were asked for.
  const attempt = (take: (db: Db, trx: Transaction<Tables>, claim: Claim) => Promise<Row[]>) =>
    transact(db, async (trx, maybeDone) => {
      if (maybeDone) return []
      const got = await take(db, trx, claim)
      await insertRuns(db, trx, claim, got)
      return got
    })
  const rows = await attempt(take).catch((error: unknown) => {
    if (error instanceof SomebodyWasQuicker) return attempt(takeLocked)
    throw error
  })
  return rows.map((row, index) => toClaimed(row, claim.handedBefore + index + 1))
}

interface Row {
  id: number
  uid: string
  number: number
  params: string
  type: string
  creator: string
  attempt: number
  timeout_ms: number | null
  grace_ms: number
  keyed: number
  run_at: number
  reason: string | null
  superseded: number
  edits: number
}

const take = async (db: Db, trx: Transaction<Tables>, claim: Claim): Promise<Row[]> => {
  const seen = await look(db, trx, claim)
  if (seen.length && (await update(db, trx, claim, seen)) !== seen.length) throw new SomebodyWasQuicker()
  return seen
}

/** Some of what was seen was taken or changed by others in between: nothing of this try is kept. Not on SQLite, whose writers come one by one. */
class SomebodyWasQuicker extends Error {}

/** One statement more, by which those that are still there are known to stay so. */
const takeLocked = async (db: Db, trx: Transaction<Tables>, claim: Claim): Promise<Row[]> => {
  const seen = await look(db, trx, claim)
  if (seen.length === 0) return []
  const { rows: there } = await trx.executeQuery<{ id: number }>(CompiledQuery.raw(mysqlLock, [wishedOf(seen)]))
  const ids = new Set(there.map(row => Number(row.id)))
  const locked = seen.filter(row => ids.has(Number(row.id)))
  if (locked.length) await update(db, trx, claim, locked)
  return locked
}

const look = async (db: Db, trx: Transaction<Tables>, { action, limit }: Claim): Promise<Row[]> =>
  (await trx.executeQuery<Row>(CompiledQuery.raw(db.dialect === 'sqlite' ? sqliteSeen : mysqlSeen, [action, limit]))).rows

const update = async (db: Db, trx: Transaction<Tables>, { owner, now }: Claim, rows: readonly Row[]): Promise<number> => {
  const values = [owner.host, owner.epoch, now, `{"code":"started","at":${now},"number":`, now]
  const wished = wishedOf(rows)
  const query =
    db.dialect === 'sqlite' ? CompiledQuery.raw(sqliteText, [...values, wished]) : CompiledQuery.raw(mysqlText, [wished, ...values])
  return Number((await trx.executeQuery(query)).numAffectedRows)
}

// Everybody locks in the order of ids, so that claims and ends never wait for each other.
const wishedOf = (rows: readonly Row[]) =>
  JSON.stringify(rows.map(({ id, number, superseded, edits }) => [id, number, superseded, edits].map(Number)).sort((a, b) => a[0]! - b[0]!))

const seenText = (table: string) => `SELECT id, uid, number, params, type, creator, attempt, timeout_ms, grace_ms,
  unique_key IS NOT NULL AS keyed, run_at, reason, superseded, edits
  FROM ${table} WHERE due = 'now' AND action = ? ORDER BY priority, run_at, id LIMIT ?`
const sqliteSeen = seenText('bg_task')
const mysqlSeen = seenText('bg_task FORCE INDEX (bg_task_due_action)')

// crash_count is counted before the run begins, so that no way to die escapes the count.
const sqliteText = `UPDATE bg_task SET state = 'running', number = bg_task.number + 1, crash_count = crash_count + 1, host = ?, epoch = ?,
  started_at = ?, finished_at = NULL, reason = ? || (bg_task.number + 1) || '}', due = NULL, updated_at = ?
  FROM (SELECT value ->> 0 AS id, value ->> 1 AS number, value ->> 2 AS superseded, value ->> 3 AS edits FROM json_each(?)) k
  WHERE bg_task.id = k.id AND +bg_task.state = 'waiting' AND +bg_task.due = 'now' AND bg_task.number = k.number AND bg_task.superseded = k.superseded
  AND bg_task.edits = k.edits`

const wishedTable =
  "JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', number BIGINT PATH '$[1]', superseded BIGINT PATH '$[2]', edits BIGINT PATH '$[3]')) k"
const isWaiting = "t.state = 'waiting' AND t.due = 'now' AND t.number = k.number AND t.superseded = k.superseded AND t.edits = k.edits"
// Joined from the list, so that each row is come to by its id, whatever the server believes of the table.
const mysqlText = `UPDATE ${wishedTable} STRAIGHT_JOIN bg_task t FORCE INDEX (PRIMARY) ON t.id = k.id
  SET t.state = 'running', t.number = k.number + 1, t.crash_count = t.crash_count + 1, t.host = ?, t.epoch = ?, t.started_at = ?,
  t.finished_at = NULL, t.reason = CONCAT(?, k.number + 1, '}'), t.due = NULL, t.updated_at = ?
  WHERE ${isWaiting}`
const mysqlLock = `SELECT t.id FROM ${wishedTable} STRAIGHT_JOIN bg_task t FORCE INDEX (PRIMARY) ON t.id = k.id WHERE ${isWaiting} FOR UPDATE`

const insertRuns = async (db: Db, trx: Transaction<Tables>, { owner, process, handedBefore, now, down }: Claim, rows: readonly Row[]) => {
  if (rows.length === 0) return
  const list = JSON.stringify(
    rows.map((row, index) => {
      const dueAt = dueAtOf({ runAt: Number(row.run_at), reason: row.reason === null ? null : (JSON.parse(row.reason) as Reason) })
      const isLate = down !== null && dueAt < down.to
      const numbers = [row.id, Number(row.number) + 1, row.attempt, handedBefore + index + 1, dueAt].map(Number)
      return [...numbers, isLate ? down.from : null, isLate ? down.to : null]
    }),
  )
  const given = [owner.host, owner.epoch, process.pid, process.startTicks, process.bootId, now, list]
  await trx.executeQuery(CompiledQuery.raw(db.dialect === 'sqlite' ? sqliteRuns : mysqlRuns, given))
}

const runColumns = `INSERT INTO bg_run (host, epoch, pid, start_ticks, boot_id, started_at, recycled, adopted, task_id, number, attempt,
  resident_task, due_at, down_from, down_to)`
const sqliteRuns = `${runColumns} SELECT ?, ?, ?, ?, ?, ?, 0, 0, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
  value ->> 6 FROM json_each(?)`
const mysqlRuns = `${runColumns} SELECT ?, ?, ?, ?, ?, ?, 0, 0, id, number, attempt, nth, due_at, down_from, down_to FROM JSON_TABLE(?, '$[*]'
  COLUMNS (id BIGINT PATH '$[0]', number BIGINT PATH '$[1]', attempt INT PATH '$[2]', nth INT PATH '$[3]', due_at BIGINT PATH '$[4]',
  down_from BIGINT PATH '$[5]', down_to BIGINT PATH '$[6]')) k`

const toClaimed = (row: Row, nth: number): ClaimedTask => ({
  id: Number(row.id),
  uid: row.uid,
  number: Number(row.number) + 1,
  params: row.params,
  type: row.type,
  creator: row.creator,
  attempt: Number(row.attempt),
  timeoutMs: row.timeout_ms === null ? null : Number(row.timeout_ms),
  graceMs: Number(row.grace_ms),
  keyed: Number(row.keyed) === 1,
  nth,
})
