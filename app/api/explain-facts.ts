import { existsSync } from 'node:fs'
import type { Config } from '../config.ts'
import { readHold } from '../runs/flags.ts'
import { hostId } from '../runs/host-id.ts'
import { isAlive } from '../runs/process-identity.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { isSilent, readSupervisor } from '../runs/supervisor-file.ts'
import { readTicket } from '../runs/ticket.ts'
import type { ExplainFacts } from '../task/explain.ts'
import { runName } from '../task/run.ts'
import type { Task } from '../task/task.ts'

/** Looks once how the supervisor on this host stands, for all tasks that are to be explained. */
export const createFactsFor = ({ runtime }: Pick<Config, 'runtime'>): ((task: Task, lastRun: ExplainFacts['lastRun']) => ExplainFacts) => {
  const now = Date.now()
  const info = readSupervisor(runtime)
  const supervisor = info ? (isSilent(info, now) ? 'silent' : info.phase) : readHold(runtime) ? 'held' : 'down'
  // With a database server a look needs no runtime folder here, and makes none.
  const host = existsSync(runtime) ? hostId(runtime) : null
  // While it is there and speaks, the row is at most a second old; else the process itself is asked.
  const mayBeStale = supervisor !== 'running' && supervisor !== 'stopping'
  return (task, lastRun) => {
    // What another host has in hand is that one's matter; what nobody has, ours may take.
    if (task.host !== null && task.host !== host) return { now, supervisor: 'unknown', processGone: false, lastRun }
    return { now, supervisor, processGone: mayBeStale && isGone(runtime, task), lastRun }
  }
}

const isGone = (runtime: string, { id, number, state }: Task) => {
  if (!['running', 'starting', 'stalled', 'stopping'].includes(state) || number === 0) return false
  const process = readTicket(runtimePaths(runtime).run(runName(id, number)).folder)?.process
  return process !== undefined && !isAlive(process)
}
