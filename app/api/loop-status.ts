import { type Config, maskUrl } from '../config.ts'
import { messageOf } from '../errors.ts'
import { type Flag, type Hold, readFlag, readHold } from '../runs/flags.ts'
import { hostId } from '../runs/host-id.ts'
import { redactionOf } from '../runs/redaction.ts'
import { requireReadableRuntime, runtimePaths } from '../runs/runtime-folder.ts'
import { readSupervisor, type SupervisorInfo } from '../runs/supervisor-file.ts'
import { countTasks } from '../store/count-tasks.ts'
import type { Db } from '../store/database.ts'
import { listLoops } from '../store/list-loops.ts'
import { listRunning } from '../store/list-running.ts'
import type { Task, TaskState } from '../task/task.ts'

/** How things stand on this host. What the database knows is null while it is away. */
export interface LoopStatus {
  host: string | null
  /** null: no supervisor lives. */
  supervisor: SupervisorInfo | null
  hold: Hold | null
  /** A wish to stop that nobody has obeyed yet. */
  stop: Flag | null
  database: { url: string; away: string | null }
  /** As people may see them, like `running`. Loops wanted up, or not yet stopped. */
  loops: Task[] | null
  /** ONCE tasks that run on this host. */
  running: Task[] | null
  counts: Record<TaskState, number> | null
}

/** @param db an open database, null when there is none, or why it could not be opened */
export const loopStatus = async (config: Config, db: Db | Error | null): Promise<LoopStatus> => {
  const { runtime } = config
  requireReadableRuntime(runtime)
  const files = {
    host: hostIdOrNull(runtime),
    supervisor: readSupervisor(runtime),
    hold: readHold(runtime),
    stop: readFlag(runtimePaths(runtime).stop),
  }
  const url = maskUrl(config.databaseUrl)
  const shown = (task: Task) => redactionOf(config).task(task)
  const away = (error: unknown): LoopStatus => ({
    ...files,
    database: { url, away: redactionOf(config).text(messageOf(error)) },
    loops: null,
    running: null,
    counts: null,
  })
  if (db === null || db instanceof Error) return away(db ?? 'it is not open')
  try {
    const [loops, counts, running] = await Promise.all([listLoops(db), countTasks(db), files.host ? listRunning(db, files.host) : []])
    return {
      ...files,
      database: { url, away: null },
      loops: loops.map(shown),
      counts,
      running: running.filter(task => task.execType === 'ONCE').map(shown),
    }
  } catch (error) {
    return away(error)
  }
}

// The folder may not be there yet, or be another user's: what can be told is told.
const hostIdOrNull = (runtime: string): string | null => {
  try {
    return hostId(runtime)
  } catch {
    return null
  }
}
