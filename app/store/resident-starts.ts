import { CompiledQuery } from 'kysely'
import type { ProcessIdentity } from '../runs/process-identity.ts'
import type { StartedWith } from '../runs/started-with.ts'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** With what a resident runner was started, for whoever asks of one of its runs. May be repeated: then it is known that it was still there. */
export const noteResidentStart = async (
  db: Db,
  { host, process, startedWith, now }: { host: string; process: ProcessIdentity; startedWith: StartedWith; now: number },
): Promise<void> => {
  const seen =
    db.dialect === 'sqlite'
      ? 'ON CONFLICT (host, boot_id, start_ticks, pid) DO UPDATE SET seen_at = excluded.seen_at'
      : 'ON DUPLICATE KEY UPDATE seen_at = VALUES(seen_at)'
  const given = [host, process.bootId, process.startTicks, process.pid, now, JSON.stringify(startedWith)]
  await withRetries(() =>
    db.kysely.executeQuery(
      CompiledQuery.raw(
        `INSERT INTO bg_resident_start (host, boot_id, start_ticks, pid, seen_at, started_with) VALUES (?, ?, ?, ?, ?, ?) ${seen}`,
        given,
      ),
    ),
  )
}

/** @returns null when nothing is known of it, or no more */
export const findResidentStart = (db: Db, host: string, { pid, startTicks, bootId }: ProcessIdentity): Promise<StartedWith | null> =>
  withRetries(async () => {
    const row = await db.kysely
      .selectFrom('bg_resident_start')
      .select('started_with')
      .where('host', '=', host)
      .where('boot_id', '=', bootId)
      .where('start_ticks', '=', startTicks)
      .where('pid', '=', pid)
      .executeTakeFirst()
    return row ? (JSON.parse(row.started_with) as StartedWith) : null
  })
