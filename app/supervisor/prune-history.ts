import type { Config } from '../config.ts'
import { oldestAuditAt, pruneAudit } from '../store/audit.ts'
import { pruneBulk } from '../store/bulk.ts'
import { rollUpCounters } from '../store/counters.ts'
import type { Db } from '../store/database.ts'
import { pruneIncidents } from '../store/notices.ts'
import { pruneRows } from '../store/prune.ts'
import { pruneOldest } from '../store/prune-oldest.ts'
import type { Log } from './supervisor.ts'

/** Rows deleted in one statement: small, so that nobody waits for the lock. */
const rowsAtOnce = 500

/** Writers of the audit wait while so many of its rows are removed: some tens of milliseconds. */
const auditRowsAtOnce = 2_000

const dayMs = 86_400_000
const keepDuesDays = 7

/** An hour longer than the API promises, since a request of many lines may take a while. */
const keepRequestKeysMs = 25 * 3_600_000

/** For so long what was done to many tasks at once can be undone. */
const keepBulkMs = 7 * dayMs

/** Nobody counts on days that are over for so long, however clocks differ. */
const addUpAfterMs = 2 * dayMs

/**
 * Removes what is older than the configuration keeps: rows of ended ONCE tasks and of a loop's old runs, rows of the audit,
 * and what requests with a key were answered. Counts of days that are over become one.
 * In small steps, so that the database does not notice. Run folders are pruned apart: that needs no database.
 */
export const pruneHistory = async (config: Pick<Config, 'keepRuns' | 'keepDays' | 'keepAuditDays'>, db: Db, log: Log): Promise<void> => {
  const endedBefore = Date.now() - config.keepDays * dayMs
  let runs = 0
  for (;;) {
    const gone = await pruneRows(db, { keepRuns: config.keepRuns * 10, endedBefore, limit: rowsAtOnce })
    runs += gone.runs
    if (gone.runs + gone.tasks.length === 0) break
  }
  if (runs) log.info(`pruned ${runs} runs`)
  // For some days at least, since a clock may be set back, and then they keep a due time from being served twice.
  const duesBefore = Math.min(endedBefore, Date.now() - keepDuesDays * dayMs)
  while ((await pruneOldest(db, 'bg_schedule_due', duesBefore, rowsAtOnce)) > 0);
  // A run ends some time after its process was seen last.
  while ((await pruneOldest(db, 'bg_resident_start', endedBefore - keepDuesDays * dayMs, rowsAtOnce)) > 0);
  while ((await pruneOldest(db, 'bg_request_key', Date.now() - keepRequestKeysMs, rowsAtOnce)) > 0);
  while ((await pruneIncidents(db, endedBefore, rowsAtOnce)) > 0);
  while ((await pruneBulk(db, Date.now() - keepBulkMs, rowsAtOnce)) > 0);
  while ((await rollUpCounters(db, Date.now() - addUpAfterMs, rowsAtOnce)) > 0);
  const rows = await pruneOldAudit(db, config.keepAuditDays)
  if (rows) log.info(`pruned ${rows} rows of the audit`)
}

// Once a day and not each time, since each removal is itself told by a row.
const pruneOldAudit = async (db: Db, keepDays: number): Promise<number> => {
  const before = Date.now() - keepDays * dayMs
  const oldest = await oldestAuditAt(db)
  if (oldest === null || oldest >= before - dayMs) return 0
  let rows = 0
  for (;;) {
    const gone = await pruneAudit(db, { before, most: auditRowsAtOnce })
    rows += gone
    if (gone < auditRowsAtOnce) return rows
  }
}
