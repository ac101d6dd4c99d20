import { existsSync } from 'node:fs'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { type AuditChainState, checkAuditChain, tryAudit } from '../store/audit.ts'
import { isAway, openDatabase } from '../store/database.ts'
import { readDatabaseSettings } from '../store/read-database-settings.ts'
import { type Told, told } from '../task/told.ts'
import type { Finding } from './check.ts'

/**
 * Whether the audit can be written, without which nobody can do anything, and whether it is as it was written.
 * @param options.newestAuditRows only so many rows of its end. Default: all
 * @returns nothing while the database is away, read-only or not of this version: that is told elsewhere
 */
export const checkAudit = async (
  { databaseUrl }: Pick<Config, 'databaseUrl'>,
  { newestAuditRows }: { newestAuditRows?: number } = {},
): Promise<Finding[]> => {
  const path = databaseUrl.startsWith('sqlite:') ? databaseUrl.slice('sqlite:'.length) : null
  if (path !== null && !existsSync(path)) return []
  try {
    const db = await openDatabase(databaseUrl)
    try {
      const { missing, unknown, readOnly } = await readDatabaseSettings(db)
      if (missing.length + unknown.length > 0 || readOnly) return []
      await tryAudit(db)
      return [findingOf(await checkAuditChain(db, newestAuditRows === undefined ? {} : { newest: newestAuditRows }), newestAuditRows)]
    } finally {
      await db.close()
    }
  } catch (error) {
    if (isAway(error)) return []
    const sentence = told`The audit cannot be written (${messageOf(error)}), so nobody can sign in, and nothing can be started, stopped or added.`
    return [
      { level: 'error', subject: 'audit', sentence, remedy: told`See the tables bg_audit and bg_audit_chain, and the rights on them.` },
    ]
  }
}

const findingOf = ({ rows, lastHash, broken }: AuditChainState, newest: number | undefined): Finding => {
  if (broken) {
    const remedy = told`Keep the database as it is, find out who can write to it, and compare it with a backup.`
    return { level: 'error', subject: 'audit', sentence: told`The chain of the audit is broken: ${whys[broken.why](broken.id)}`, remedy }
  }
  const part =
    newest !== undefined && rows >= newest ? told`the newest ${rows} rows` : rows === 1 ? told`its one row` : told`all ${rows} rows`
  const head = lastHash === '' ? '' : told` Hash of the newest: ${lastHash}.`
  return { level: 'ok', subject: 'audit', sentence: told`The audit can be written, and its chain is whole (${part}).${head}`, remedy: null }
}

const whys: Record<NonNullable<AuditChainState['broken']>['why'], (id: number) => Told> = {
  missing: id => told`row ${id} is missing.`,
  changed: id => told`row ${id} is not as it was written.`,
  extra: id => told`row ${id} was put in beside it.`,
}
