import { CompiledQuery, type Selectable } from 'kysely'
import { type AuditEntry, toEntry } from './audit.ts'
import type { Db } from './database.ts'
import type { AuditRow } from './tables.ts'
import { withRetries } from './transact.ts'

/**
 * The newest of these acts that were done to a task, newest first.
 * A subject is a task's id with some acts only, so each act is a range of the index by subject and act, which ends after `limit` rows.
 */
export const listTaskAudit = (db: Db, taskId: number, acts: readonly string[], limit: number): Promise<AuditEntry[]> =>
  withRetries(async () => {
    if (acts.length === 0) return []
    const ofOne = `SELECT * FROM bg_audit${db.dialect === 'mysql' ? ' FORCE INDEX (bg_audit_subject_act)' : ''} WHERE subject = ? AND act = ? ORDER BY id DESC LIMIT ${limit}`
    const sql = acts.map((_, index) => `SELECT * FROM (${ofOne}) AS a${index}`).join(' UNION ALL ')
    const values = acts.flatMap(act => [String(taskId), act])
    const { rows } = await db.kysely.executeQuery<Selectable<AuditRow>>(CompiledQuery.raw(sql, values))
    return rows
      .map(toEntry)
      .sort((one, other) => other.id - one.id)
      .slice(0, limit)
  })
