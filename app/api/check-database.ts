import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Config, maskUrl } from '../config.ts'
import { messageOf, sentenceOf } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { whyNotMakeable } from '../runs/can-be-made.ts'
import { type Db, openDatabase } from '../store/database.ts'
import { readDatabaseSettings } from '../store/read-database-settings.ts'
import { type Sentence, told } from '../task/told.ts'
import type { Finding } from './check.ts'

/** Reachable, of this version, and keeping what it was told. */
export const checkDatabase = async (config: Config): Promise<Finding[]> => {
  const where = maskUrl(config.databaseUrl)
  const path = config.databaseUrl.startsWith('sqlite:') ? config.databaseUrl.slice('sqlite:'.length) : null
  if (path !== null && !existsSync(path)) {
    const why = whyNotMadeIn(config.runtime, dirname(path))
    return why === null
      ? [found('warning', told`${where} is not there yet.`, told`It is made by the first start, or by: ${ourCommand} migrate`)]
      : [
          found(
            'error',
            told`${where} is not there and cannot be made (${why}).`,
            told`Make its folder, or set DATABASE_URL to a path that can be.`,
          ),
        ]
  }
  let db: Db
  try {
    db = await openDatabase(config.databaseUrl)
  } catch (error) {
    return [found('error', sentenceOf(error), told`Loops go on meanwhile; nothing new starts.`)]
  }
  try {
    return await look(db, where)
  } catch (error) {
    return [
      found(
        'error',
        told`${where} cannot be asked: ${messageOf(error)}`,
        told`See the log of the database, and whether its user may read the tables.`,
      ),
    ]
  } finally {
    await db.close()
  }
}

// The runtime folder is made by the start; no other is.
const whyNotMadeIn = (runtime: string, folder: string): Sentence | null => {
  if (folder === runtime) return whyNotMakeable(folder)
  return existsSync(folder) ? whyNotMakeable(folder) : told`${folder} is not there`
}

const look = async (db: Db, where: string): Promise<Finding[]> => {
  const { version, missing, unknown, flushAtCommit, readOnly, clockOffMs } = await readDatabaseSettings(db)
  const findings: Finding[] = []
  if (unknown.length > 0) {
    findings.push(
      found('error', told`${where} is newer than this version of bgtask (it has ${unknown.join(', ')}).`, told`Install the newer version.`),
    )
  }
  if (missing.length > 0) {
    findings.push(
      found('error', told`The tables in ${where} are not up to date (${missing.join(', ')}).`, told`Run: ${ourCommand} migrate`),
    )
  }
  if (readOnly)
    findings.push(
      found('error', told`${where} is read-only.`, told`Point DATABASE_URL to the server that can be written, or see why it is.`),
    )
  if (flushAtCommit !== null && !flushAtCommit) {
    const remedy = told`SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in its configuration file.`
    findings.push(
      found(
        'warning',
        told`The database does not write each commit to disk: after a crash of its machine, tasks of the last second may be gone.`,
        remedy,
      ),
    )
  }
  if (clockOffMs !== null && Math.abs(clockOffMs) > 5000) {
    const sentence = told`The clocks of this machine and of the database differ by ${Math.round(Math.abs(clockOffMs) / 1000)} s.`
    findings.push({ level: 'warning', subject: 'clock', sentence, remedy: told`Set both by NTP (timedatectl set-ntp true).` })
  }
  return findings.length > 0
    ? findings
    : [{ level: 'ok', subject: 'database', sentence: told`${where} (${version}) answers and is up to date.`, remedy: null }]
}

const found = (level: 'warning' | 'error', sentence: Sentence, remedy: Sentence): Finding => ({
  level,
  subject: 'database',
  sentence,
  remedy,
})
