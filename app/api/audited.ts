import { messageOf } from '../errors.ts'
import { type AuditVia, appendAudit } from '../store/audit.ts'
import type { Db } from '../store/database.ts'

/** Who acts, from where, and by which kind of request. */
export interface Actor {
  /** As shown on pages; null: nobody is signed in. */
  name: string | null
  ip: string | null
  via: AuditVia
}

export interface Act {
  /** `task-cancellation`; when it fails a second row `<act>-failed` says why. */
  act: string
  subject?: string | null
  detail?: string | null
}

/**
 * Writes the audit row, then does the work: what cannot be written is not done. If the work fails, a second row says so.
 * @throws what the work throws, or what kept the row from being written
 */
export const audited = async <T>(db: Db, actor: Actor, act: Act, work: () => Promise<T>): Promise<T> => {
  await noteAct(db, actor, act)
  try {
    return await work()
  } catch (error) {
    await noteAct(db, actor, { ...act, act: `${act.act}-failed`, detail: messageOf(error) })
    throw error
  }
}

/** One row, for what is not ours to do or undo: a failed login, a session that ended. */
export const noteAct = (db: Db, { name, ip, via }: Actor, { act, subject = null, detail = null }: Act): Promise<void> =>
  appendAudit(db, { at: Date.now(), userName: name, ip, via, act, subject, detail })
