import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import type { Config } from '../config.ts'
import { launcher, workRoot } from '../paths.ts'
import { identify, isAlive, type ProcessIdentity } from '../runs/process-identity.ts'
import { type ResidentTicket, residentPaths } from '../runs/resident-files.ts'
import { runEnvironment } from '../runs/run-environment.ts'
import { SpawnFailed } from './child.ts'

/** @throws SpawnFailed, or why its output could not be opened */
export const startResident = async (config: Config, ticket: ResidentTicket, folder: string): Promise<ChildProcess> => {
  const output = openSync(residentPaths(folder).output, 'a', 0o600)
  try {
    const spawned = spawn(process.execPath, [launcher, ticket.action, 'resident'], {
      cwd: workRoot,
      env: { ...runEnvironment(config, { mark: ticket.mark }), BGTASK_RESIDENT_FOLDER: folder },
      detached: true,
      stdio: ['ignore', output, output],
    })
    if (spawned.pid !== undefined) return spawned
    const [cause] = (await once(spawned, 'error')) as [Error]
    throw new SpawnFailed(cause)
  } finally {
    closeSync(output)
  }
}

/** The live process of a ticket, if there is one: also of a supervisor that died before it could note it. */
export const identityOfResident = (
  ticket: ResidentTicket,
  marked: readonly { identity: ProcessIdentity; mark: string; groupId: number }[],
): ProcessIdentity | null => {
  if (ticket.process) return isAlive(ticket.process) ? ticket.process : null
  const leader = marked.find(found => found.mark === ticket.mark && found.groupId === found.identity.pid)
  return leader ? identify(leader.identity.pid) : null
}
