import { randomUUID } from 'node:crypto'
import type { Selectable } from 'kysely'
import {
  type ClosedHow,
  type Incident,
  type IncidentFacts,
  type IncidentKind,
  incidentKey,
  incidentKinds,
  type NoticeEvent,
} from '../task/incident.ts'
import type { Channel } from '../task/notify.ts'
import type { Db } from './database.ts'
import type { IncidentRow } from './tables.ts'
import { transact, withRetries } from './transact.ts'

/** Incidents that one message tells of. Its id stays the same however often it has to be sent. */
export interface Delivery {
  id: string
  told: { noticeIds: number[]; incident: Incident; events: NoticeEvent[] }[]
  /** When the first of it was to be told. */
  since: number
}

/** A claim whose process has died is anybody's after this. */
const claimMs = 120_000

/** More incidents than a message can hold are told by the next one. */
const mostTold = 1_000

/**
 * Claims what is to be told by a channel now; two processes never send the same at once.
 * @param claim who sends: `<task> <number>`. A later run of the same task takes over at once, since the earlier one is dead
 * @returns what an earlier try left, oldest first, then one delivery of all that is new; `held`: notices that another process is just sending
 */
export const claimDeliveries = (db: Db, channel: Channel, claim: string, now: number): Promise<{ deliveries: Delivery[]; held: number }> =>
  transact(db, async trx => {
    const [task] = claim.split(' ')
    const due = await trx
      .selectFrom('bg_notice')
      .selectAll()
      .where('pending', '=', 1)
      .where('channel', '=', channel)
      .where('tell_at', '<=', now)
      .orderBy('tell_at')
      .orderBy('id')
      .limit(mostTold)
      .execute()
    const isFree = (row: (typeof due)[number]) =>
      row.claim === null ||
      row.claim.startsWith(`${task} `) ||
      Number(row.claimed_at) < now - claimMs ||
      Number(row.claimed_at) > now + claimMs
    const fresh = randomUUID()
    const taken: { id: number; incidentId: number; event: NoticeEvent; delivery: string; tellAt: number }[] = []
    for (const row of due.filter(isFree)) {
      const delivery = row.delivery ?? fresh
      let update = trx.updateTable('bg_notice').set({ delivery, claim, claimed_at: now }).where('id', '=', row.id).where('pending', '=', 1)
      update = row.claim === null ? update.where('claim', 'is', null) : update.where('claim', '=', row.claim)
      const { numUpdatedRows } = await update.executeTakeFirst()
      if (numUpdatedRows === 0n) continue
      const { id, incident_id, event, tell_at } = row
      taken.push({ id: Number(id), incidentId: Number(incident_id), event: event as NoticeEvent, delivery, tellAt: Number(tell_at) })
    }
    const ids = [...new Set(taken.map(one => one.incidentId))]
    const rows = ids.length === 0 ? [] : await trx.selectFrom('bg_incident').selectAll().where('id', 'in', ids).execute()
    const incidents = new Map(rows.map(row => [Number(row.id), toIncident(row)]))
    const deliveries = [...Map.groupBy(taken, one => one.delivery)].map(([id, notices]) => ({
      id,
      since: Math.min(...notices.map(one => one.tellAt)),
      told: [...Map.groupBy(notices, one => one.incidentId)].flatMap(([incidentId, own]) => {
        const incident = incidents.get(incidentId)
        return incident ? [{ noticeIds: own.map(one => one.id), incident, events: own.map(one => one.event) }] : []
      }),
    }))
    return { deliveries, held: due.length - taken.length }
  })

/** How many are to be told by a channel until then. */
export const countPending = (db: Db, channel: Channel, now: number): Promise<number> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_notice')
      .select('id')
      .where('pending', '=', 1)
      .where('channel', '=', channel)
      .where('tell_at', '<=', now)
      .limit(mostTold)
      .execute()
    return rows.length
  })

export const noteTold = (db: Db, { id }: Pick<Delivery, 'id'>, claim: string, now: number): Promise<void> =>
  settle(db, id, claim, { pending: null, claim: null, told_at: now })

/** It was not taken: the next try may have it. */
export const letGoOf = (db: Db, { id }: Pick<Delivery, 'id'>, claim: string): Promise<void> => settle(db, id, claim, { claim: null })

/** It is never told. */
export const giveUp = (db: Db, { id }: Pick<Delivery, 'id'>, claim: string): Promise<void> =>
  settle(db, id, claim, { pending: null, claim: null })

const settle = (db: Db, delivery: string, claim: string, set: { pending?: null; claim: null; told_at?: number }): Promise<void> =>
  withRetries(async () => {
    // By way of the index of what is pending, as everybody.
    await db.kysely
      .updateTable('bg_notice')
      .set(set)
      .where('pending', '=', 1)
      .where('delivery', '=', delivery)
      .where('claim', '=', claim)
      .execute()
  })

/** Those that were noted last first, those that are over too. */
export const listIncidents = (db: Db, limit: number): Promise<Incident[]> =>
  withRetries(async () => {
    const rows = await db.kysely.selectFrom('bg_incident').selectAll().orderBy('id', 'desc').limit(limit).execute()
    return rows.map(toIncident)
  })

/** Those that last, however long ago they began; newest first. A failure is no state that lasts. @param limit of each kind */
export const listLasting = async (db: Db, limit: number): Promise<Incident[]> => {
  const found: Incident[] = []
  for (const kind of incidentKinds.filter(one => one !== 'failed')) {
    const rows = await withRetries(() =>
      db.kysely
        .selectFrom('bg_incident')
        .selectAll()
        // The keys of a kind, which its name and a space begin: '!' comes next after the space.
        .where('open_key', '>', incidentKey(kind, ''))
        .where('open_key', '<', `${kind}!`)
        .orderBy('open_key')
        .limit(limit)
        .execute(),
    )
    found.push(...rows.map(toIncident))
  }
  return found.sort((a, b) => b.openedAt - a.openedAt)
}

/** Removes a few of those that were opened, and are over, before then. @returns how many */
export const pruneIncidents = (db: Db, before: number, limit: number): Promise<number> =>
  transact(db, async trx => {
    const old = await trx
      .selectFrom('bg_incident')
      .select('id')
      .where('opened_at', '<', before)
      .where(({ or, eb }) => or([eb('open_key', 'is', null), eb('kind', '=', 'failed')]))
      .orderBy('opened_at')
      .limit(limit)
      .execute()
    if (old.length === 0) return 0
    const ids = old.map(row => row.id)
    await trx.deleteFrom('bg_notice').where('incident_id', 'in', ids).execute()
    await trx.deleteFrom('bg_incident').where('id', 'in', ids).execute()
    return ids.length
  })

const toIncident = (row: Selectable<IncidentRow>): Incident => ({
  id: Number(row.id),
  kind: row.kind as IncidentKind,
  taskId: row.task_id === null ? null : Number(row.task_id),
  number: row.number === null ? null : Number(row.number),
  action: row.action,
  host: row.host,
  openedAt: Number(row.opened_at),
  closedAt: row.closed_at === null ? null : Number(row.closed_at),
  closedHow: row.closed_how as ClosedHow | null,
  count: Number(row.n),
  lastAt: Number(row.last_at),
  lastTask: row.last_task === null ? null : Number(row.last_task),
  facts: JSON.parse(row.facts) as IncidentFacts,
  lines: row.last_lines,
})
