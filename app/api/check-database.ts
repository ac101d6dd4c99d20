import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Config, maskUrl } from '../config.ts'
import { messageOf } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { whyNotMakeable } from '../runs/can-be-made.ts'
import { type Db, openDatabase } from '../store/database.ts'
import { readDatabaseSettings } from '../store/read-database-settings.ts'
import type { Finding } from './check.ts'

/** Reachable, of this version, and keeping what it was told. */
export const checkDatabase = async (config: Config): Promise<Finding[]> => {
  const where = maskUrl(config.databaseUrl)
  const path = config.databaseUrl.startsWith('sqlite:') ? config.databaseUrl.slice('sqlite:'.length) : null
  if (path !== null && !existsSync(path)) {
    const why = whyNotMadeIn(config.runtime, dirname(path))
    return why === null
      ? [found('warning', `${where} is not there yet.`, `It is made by the first start, or by: ${ourCommand} migrate`)]
      : [
          found(
            'error',
            `${where} is not there and cannot be made (${why}).`,
            'Make its folder, or set DATABASE_URL to a path that can be.',
          ),
        ]
  }
  let db: Db
  try {
    db = await openDatabase(config.databaseUrl)
  } catch (error) {
    return [found('error', messageOf(error), 'Loops go on meanwhile; nothing new starts.')]
  }
  try {
    return await look(db, where)
  } catch (error) {
    return [
      found(
        'error',
        `${where} cannot be asked: ${messageOf(error)}`,
        'See the log of the database, and whether its user may read the tables.',
      ),
    ]
  } finally {
    await db.close()
  }
}

// The runtime folder is made by the start; no other is.
const whyNotMadeIn = (runtime: string, folder: string): string | null => {
  if (folder === runtime) return whyNotMakeable(folder)
  return existsSync(folder) ? whyNotMakeable(folder) : `${folder} is not there`
}

const look = async (db: Db, where: string): Promise<Finding[]> => {
  const { version, missing, unknown, flushAtCommit, readOnly, clockOffMs } = await readDatabaseSettings(db)
  const findings: Finding[] = []
  if (unknown.length > 0) {
    findings.push(
      found('error', `${where} is newer than this version of bgtask (it has ${unknown.join(', ')}).`, 'Install the newer version.'),
    )
  }
  if (missing.length > 0) {
    findings.push(found('error', `The tables in ${where} are not up to date (${missing.join(', ')}).`, `Run: ${ourCommand} migrate`))
  }
  if (readOnly)
    findings.push(found('error', `${where} is read-only.`, 'Point DATABASE_URL to the server that can be written, or see why it is.'))
  if (flushAtCommit !== null && !flushAtCommit) {
    const remedy = 'SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in its configuration file.'
    findings.push(
      found(
        'warning',
        'The database does not write each commit to disk: after a crash of its machine, tasks of the last second may be gone.',
        remedy,
      ),
    )
  }
  if (clockOffMs !== null && Math.abs(clockOffMs) > 5000) {
    const sentence = `The clocks of this machine and of the database differ by ${Math.round(Math.abs(clockOffMs) / 1000)} s.`
    findings.push({ level: 'warning', subject: 'clock', sentence, remedy: 'Set both by NTP (timedatectl set-ntp true).' })
  }
  return findings.length > 0
    ? findings
    : [{ level: 'ok', subject: 'database', sentence: `${where} (${version}) answers and is up to date.`, remedy: null }]
}

const found = (level: 'warning' | 'error', sentence: string, remedy: string): Finding => ({ level, subject: 'database', sentence, remedy })
