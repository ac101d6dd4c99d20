import { BgtaskError, messageOf } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { type AuditVia, appendAudit } from '../store/audit.ts'
import { type CallerTransaction, type Db, isAway } from '../store/database.ts'
import { told } from '../task/told.ts'
import type { Reach } from './command-reach.ts'

/** Who acts, from where, and by which kind of request. */
export interface Actor {
  /** As shown on pages; null: nobody is signed in. */
  name: string | null
  ip: string | null
  via: AuditVia
  /** Which commands this one may run. Default: none. */
  reach?: Reach
}

export interface Act {
  /** `task-cancellation`; when it fails a second row `<act>-failed` says why. */
  act: string
  subject?: string | null
  detail?: string | null
}

/**
 * Writes the audit row, then does the work: what cannot be written is not done. If the work fails, a second row says so.
 * @throws what the work throws, or what kept a row from being written: see noteAct
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

/**
 * One row, for what is not ours to do or undo: a failed login, a session that ended.
 * @param trx the transaction that does the act itself, so that there is never one without the other; nothing may follow in it
 * @throws BgtaskError `failed` when the row cannot be written; an error for which isAway() holds when the database cannot be used at all
 */
export const noteAct = async (db: Db, { name, ip, via }: Actor, { act, subject = null, detail = null }: Act, trx?: CallerTransaction) => {
  try {
    await appendAudit(db, { at: Date.now(), userName: name, ip, via, act, subject, detail }, trx)
  } catch (error) {
    if (isAway(error)) throw error
    // Whoever reads this may be nobody we know, so the reason stays in what `check` says.
    const sentence = told`The audit cannot be written, so this is not done. On the machine itself, ${ourCommand} check says why.`
    throw new BgtaskError('failed', sentence, { cause: error })
  }
}
