import type { Selectable } from 'kysely'
import type { CallerTransaction, Db } from './database.ts'
import type { AuditRow } from './tables.ts'
import type { Executor } from './transact.ts'
import { withRetries } from './transact.ts'

/** Who did what, when. */
export interface AuditEntry {
  id: number
  /** Milliseconds since 1970. */
  at: number
  userName: string | null
  ip: string | null
  /** A word for the act, e.g. `task.cancel`. */
  act: string
  /** What it was done to. */
  subject: string | null
  detail: string | null
}

export const appendAudit = async (db: Db, entry: Omit<AuditEntry, 'id'>, trx?: CallerTransaction): Promise<void> => {
  const append = async (executor: Executor) => {
    const { at, userName, ip, act, subject, detail } = entry
    await executor
      .insertInto('bg_audit')
      .values({
        at,
        user_name: cut(userName, 64),
        ip: cut(ip, 64),
        act: act.slice(0, 64),
        subject: cut(subject, 255),
        detail: cut(detail, 65_000),
      })
      .execute()
  }
  // Rather twice than never: after a broken connection it is written again.
  await (trx ? append(trx.withoutPlugins()) : withRetries(() => append(db.kysely)))
}

/** Newest first. @param page.before the id of the last one seen */
export const listAudit = (db: Db, page: { limit: number; before?: number }): Promise<AuditEntry[]> =>
  withRetries(async () => {
    const all = db.kysely.selectFrom('bg_audit').selectAll().orderBy('id', 'desc').limit(page.limit)
    return (await (page.before === undefined ? all : all.where('id', '<', page.before)).execute()).map(toEntry)
  })

const toEntry = (row: Selectable<AuditRow>): AuditEntry => ({
  id: Number(row.id),
  at: Number(row.at),
  userName: row.user_name,
  ip: row.ip,
  act: row.act,
  subject: row.subject,
  detail: row.detail,
})

const cut = (text: string | null, length: number) => (text === null ? null : text.slice(0, length))
