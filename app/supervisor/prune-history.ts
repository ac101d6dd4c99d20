import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { readTicket } from '../runs/ticket.ts'
import type { Db } from '../store/database.ts'
import { pruneRows } from '../store/prune.ts'
import type { Log } from './supervisor.ts'

/** Rows deleted in one statement: small, so that nobody waits for the lock. */
const rowsAtOnce = 500

/**
 * Removes what is older than the configuration keeps: rows of ended ONCE tasks and of a loop's old runs, run folders of both.
 * In small steps, so that neither the database nor the disk notices.
 */
export const pruneHistory = async (config: Pick<Config, 'runtime' | 'keepRuns' | 'keepDays'>, db: Db, log: Log): Promise<void> => {
  const endedBefore = Date.now() - config.keepDays * 86_400_000
  let runs = 0
  for (;;) {
    const gone = await pruneRows(db, { keepRuns: config.keepRuns * 10, endedBefore, limit: rowsAtOnce })
    runs += gone.runs
    if (gone.runs + gone.tasks.length === 0) break
  }
  const folders = await pruneFolders(config, endedBefore)
  if (runs + folders) log.info(`pruned ${runs} runs and ${folders} run folders`)
}

/** @returns how many folders are gone. A folder whose run is still open stays, whatever its age. */
export const pruneFolders = async ({ runtime, keepRuns }: Pick<Config, 'runtime' | 'keepRuns'>, endedBefore: number): Promise<number> => {
  const runs = join(runtime, 'runs')
  const open = new Set(await readdir(join(runtime, 'open')))
  const byTask = Map.groupBy(
    (await readdir(runs)).flatMap(name => {
      const match = /^(\d+)-(\d+)$/.exec(name)
      return match ? [{ name, taskId: Number(match[1]), number: Number(match[2]) }] : []
    }),
    run => run.taskId,
  )
  let removed = 0
  for (const found of byTask.values()) {
    for (const [index, { name }] of found.sort((a, b) => b.number - a.number).entries()) {
      const folder = join(runs, name)
      if (open.has(name) || (index < keepRuns && !(await isOldOnce(folder, endedBefore)))) continue
      await rm(folder, { recursive: true, force: true })
      removed++
    }
  }
  return removed
}

// A loop's last runs stay however old they are: they say why it is down.
const isOldOnce = async (folder: string, endedBefore: number) =>
  (await stat(folder)).mtimeMs < endedBefore && readTicket(folder)?.execType !== 'FOREVER'
