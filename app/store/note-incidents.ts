import { CompiledQuery } from 'kysely'
import { type ClosedHow, type IncidentFacts, type IncidentKind, incidentKey, sameFailureMs } from '../task/incident.ts'
import { type Channel, channelsOf, isTold, type Notify, notifyAction, tellAt, tellerKey } from '../task/notify.ts'
import type { CallerTransaction, Db } from './database.ts'
import { insertTasks } from './insert-task.ts'
import { type Executor, transact } from './transact.ts'

/** Something begins that people should hear of. Milliseconds since 1970. */
export interface Opening {
  do: 'open'
  kind: IncidentKind
  /** What it is one of, while it lasts: a task's id, the key of an error, a host. */
  of: number | string
  at: number
  taskId: number | null
  number: number | null
  action: string | null
  host: string
  facts: IncidentFacts
  /** Asked for when it is none that lasts already. */
  lines: () => string | null
  /** Times that it happened at once. Default 1. */
  count?: number
}

/** And ends. */
export interface Closing {
  do: 'close'
  kind: IncidentKind
  of: number | string
  at: number
  how: ClosedHow
}

/**
 * Notes incidents in the transaction in which their reasons are recorded, with what is to be told of them and the tasks that tell it. May be
 * repeated: one that lasts is counted, one that is over stays over.
 */
export const noteIncidents = async (db: Db, trx: Executor, notify: Notify, changes: readonly (Opening | Closing)[]): Promise<void> => {
  const told = new Set<Channel>()
  for (const change of changes) {
    const channels = change.do === 'open' ? await open(db, trx, notify, change) : await close(trx, notify, change)
    for (const channel of channels) told.add(channel)
  }
  for (const channel of told) await addTeller(db, trx, channel)
}

/** The same in a transaction of its own. */
export const noteIncidentsAlone = (db: Db, notify: Notify, changes: readonly (Opening | Closing)[]): Promise<void> =>
  transact(db, trx => noteIncidents(db, trx, notify, changes))

const open = async (db: Db, trx: Executor, notify: Notify, opening: Opening): Promise<Channel[]> => {
  const { kind, of, at, lines, facts, count = 1 } = opening
  if (!isTold(notify, opening.action)) return []
  const key = incidentKey(kind, of)
  if (kind === 'failed') await passOver(trx, key, at)
  const known = await openWith(trx, key)
  const row = {
    open_key: key,
    kind,
    task_id: opening.taskId,
    number: opening.number,
    action: opening.action,
    host: opening.host,
    opened_at: at,
    n: count,
    last_at: at,
    last_task: opening.taskId,
    facts: JSON.stringify(facts),
    // What lasts has them already; another host may have been first, then they are not needed either.
    last_lines: known ? null : lines(),
  }
  const given = (column: string) => (db.dialect === 'sqlite' ? `excluded.${column}` : `VALUES(${column})`)
  const columns = Object.keys(row)
  await trx.executeQuery(
    CompiledQuery.raw(
      `INSERT INTO bg_incident (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')}) ` +
        (db.dialect === 'sqlite' ? 'ON CONFLICT (open_key) WHERE open_key IS NOT NULL DO UPDATE SET ' : 'ON DUPLICATE KEY UPDATE ') +
        `n = bg_incident.n + ${given('n')}, last_at = ${given('last_at')}, last_task = ${given('last_task')}`,
      Object.values(row),
    ),
  )
  const incident = await openWith(trx, key)
  // Counted on: it is told already, or is about to be.
  if (!incident || known || incident.n !== count) return []
  return notice(trx, notify, incident.id, 'opened', channelsOf(notify), at)
}

const close = async (trx: Executor, notify: Notify, { kind, of, at, how }: Closing): Promise<Channel[]> => {
  const incident = await openWith(trx, incidentKey(kind, of))
  if (!incident) return []
  const { numUpdatedRows } = await trx
    .updateTable('bg_incident')
    .set({ open_key: null, closed_at: at, closed_how: how })
    .where('id', '=', incident.id)
    .where('open_key', 'is not', null)
    .executeTakeFirst()
  if (numUpdatedRows === 0n || how !== 'recovered') return []
  // Whoever was told that it began is told that it is over.
  const opened = await trx
    .selectFrom('bg_notice')
    .select('channel')
    .where('incident_id', '=', incident.id)
    .where('event', '=', 'opened')
    .execute()
  const heard = opened.map(row => row.channel)
  return notice(
    trx,
    notify,
    incident.id,
    'closed',
    channelsOf(notify).filter(channel => heard.includes(channel)),
    at,
  )
}

const openWith = async (trx: Executor, key: string): Promise<{ id: number; n: number } | null> => {
  const row = await trx.selectFrom('bg_incident').select(['id', 'n']).where('open_key', '=', key).executeTakeFirst()
  return row ? { id: Number(row.id), n: Number(row.n) } : null
}

/** The same error some time later is another incident. */
const passOver = async (trx: Executor, key: string, at: number) => {
  await trx
    .updateTable('bg_incident')
    .set({ open_key: null, closed_at: at, closed_how: 'passed' satisfies ClosedHow })
    .where('open_key', '=', key)
    .where('opened_at', '<=', at - sameFailureMs)
    .execute()
}

const notice = async (trx: Executor, notify: Notify, incidentId: number, event: string, wanted: readonly Channel[], at: number) => {
  if (wanted.length === 0) return []
  const when = tellAt(notify, at)
  const rows = wanted.map(channel => ({ incident_id: incidentId, channel, event, pending: 1, tell_at: when }))
  await trx.insertInto('bg_notice').values(rows).execute()
  return [...wanted]
}

/**
 * One task tells all that is to be told by a channel. While it runs, or waits for its next try, at most one waits for its end; so whatever is
 * noted now is told by one that begins later.
 */
const addTeller = async (db: Db, trx: Executor, channel: Channel) => {
  const first = await trx
    .selectFrom('bg_notice')
    .select('tell_at')
    .where('pending', '=', 1)
    .where('channel', '=', channel)
    .orderBy('tell_at')
    .limit(1)
    .executeTakeFirst()
  if (!first) return
  const now = Date.now()
  await insertTasks(db, [tellerTask({ channel }, Math.max(now, Number(first.tell_at)), tellerKey(channel))], {
    now,
    trx: trx as CallerTransaction,
  })
}

/** @param uniqueKey null: beside all others */
export const tellerTask = (params: { channel: Channel; test?: { by: string } }, runAt: number, uniqueKey: string | null) => ({
  action: notifyAction,
  params,
  execType: 'ONCE' as const,
  type: 'notification',
  creator: params.test?.by ?? 'bgtask',
  // Before all else: it tells that something is wrong.
  priority: -1000,
  runAt,
  uniqueKey,
  onConflict: 'keepLast' as const,
  // The waits between tries grow to ten minutes or more: most of a day in all.
  maxAttempts: params.test ? 1 : 60,
  timeoutMs: 300_000,
  graceMs: 15_000,
  rerunAfterCrash: !params.test,
})
