import { existsSync } from 'node:fs'
import { isAlive } from './process-identity.ts'
import { runPaths } from './runtime-folder.ts'
import { readTicket } from './ticket.ts'

/** Whether the run of this folder writes no more: it left an outcome, or its process is dead, or the folder is gone. */
export const runHasEnded = (folder: string): boolean => {
  if (existsSync(runPaths(folder).outcome)) return true
  const ticket = readTicket(folder)
  return ticket === null || (ticket.process !== undefined && !isAlive(ticket.process))
}
