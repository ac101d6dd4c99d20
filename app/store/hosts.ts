import type { Selectable } from 'kysely'
import type { Db } from './database.ts'
import type { HostRow } from './tables.ts'
import { withRetries } from './transact.ts'

/** A `bg_host` row: a machine (or container) with a supervisor. Times are milliseconds since 1970. */
export interface Host {
  host: string
  epoch: string
  /** Grows with each sign of life. */
  beat: number
  beatAt: number
  pid: number
  version: string
  hostname: string
  runtime: string
  startedAt: number
  /** When its supervisor left in good order; null while it has not. */
  leftAt: number | null
  /** ONCE runs and loops at the last beat. */
  running: number
  loops: number
}

/** A time in which no supervisor ran on a host. `from` is the last sign of life before it, or null when there was none. */
export interface Down {
  from: number | null
  to: number
}

/** A supervisor's life begins here; the one before it, if it is still written, is over. @returns how long none had run here */
export const enterHost = (
  db: Db,
  host: Pick<Host, 'host' | 'epoch' | 'pid' | 'version' | 'hostname' | 'runtime' | 'startedAt'>,
  now = Date.now(),
): Promise<Down> => {
  let down: Down | undefined
  return withRetries(async () => {
    const { host: name, startedAt, ...rest } = host
    const before = await db.kysely.selectFrom('bg_host').selectAll().where('host', '=', name).executeTakeFirst()
    // Looked at once: after a broken connection the row may be our own already.
    down ??= { from: before ? Number(before.left_at ?? before.beat_at) : null, to: startedAt }
    const facts = { ...rest, started_at: startedAt, beat_at: now, left_at: null, running: 0, loops: 0 }
    const insert = db.kysely.insertInto('bg_host').values({ host: name, beat: 1, ...facts })
    await (db.dialect === 'sqlite'
      ? insert.onConflict(conflict => conflict.column('host').doUpdateSet(row => ({ ...facts, beat: row('bg_host.beat', '+', 1) })))
      : insert.onDuplicateKeyUpdate(row => ({ ...facts, beat: row('bg_host.beat', '+', 1) }))
    ).execute()
    return down
  })
}

/** @returns false when another epoch has the host by now, or nobody entered it */
export const beatHost = (
  db: Db,
  host: string,
  epoch: string,
  facts: { running: number; loops: number },
  now = Date.now(),
): Promise<boolean> =>
  withRetries(async () => {
    const { numUpdatedRows } = await db.kysely
      .updateTable('bg_host')
      .set(row => ({ beat: row('beat', '+', 1), beat_at: now, running: facts.running, loops: facts.loops, left_at: null }))
      .where('host', '=', host)
      .where('epoch', '=', epoch)
      .executeTakeFirst()
    return numUpdatedRows > 0n
  })

export const leaveHost = (db: Db, host: string, epoch: string, now: number): Promise<void> =>
  withRetries(async () => {
    await db.kysely
      .updateTable('bg_host')
      .set({ left_at: now, running: 0, loops: 0 })
      .where('host', '=', host)
      .where('epoch', '=', epoch)
      .execute()
  })

export const listHosts = (db: Db): Promise<Host[]> =>
  withRetries(async () => (await db.kysely.selectFrom('bg_host').selectAll().orderBy('host').execute()).map(toHost))

/** When its supervisor last gave a sign of life, by its own clock; null: none was ever there. */
export const lastSignOf = (db: Db, host: string): Promise<number | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_host').select(['beat_at', 'left_at']).where('host', '=', host).executeTakeFirst()
    return row ? Number(row.left_at ?? row.beat_at) : null
  })

const toHost = (row: Selectable<HostRow>): Host => ({
  host: row.host,
  epoch: row.epoch,
  beat: Number(row.beat),
  beatAt: Number(row.beat_at),
  pid: Number(row.pid),
  version: row.version,
  hostname: row.hostname,
  runtime: row.runtime,
  startedAt: Number(row.started_at),
  leftAt: row.left_at === null ? null : Number(row.left_at),
  running: row.running,
  loops: row.loops,
})
