import { delimiter } from 'node:path'
import { markVariable } from '../runs/process-identity.ts'
import type { RunUser } from '../runs/run-user.ts'
import type { Ticket } from '../runs/ticket.ts'
import type { Outcome } from '../task/outcome.ts'
import { becomeUser } from './become-user.ts'
import { beginRun, type CurrentRun } from './current-run.ts'
import { executeTicket, exitedOutcome, thrownOutcome } from './execute-ticket.ts'
import { trapProcess } from './trap-process.ts'

export interface RunByHandOptions {
  /** A loop ends after so many iterations. Default: none. */
  iterationLimit?: number | null
  /** What `ctx.db()` and `ctx.addTask` work with. Default: the address in the runtime folder. */
  databaseUrl?: string | null
  /** Asks the run to stop, as Ctrl-C does. */
  signal?: AbortSignal
}

/**
 * Runs an action in this process, with its output in this terminal. Nothing of the run is written to the database or the runtime folder.
 * Ctrl-C asks it to stop; a second one ends the process at once.
 * @param ticket made from the task's row
 * @returns how it ended, which was told on stderr too. The caller leaves by process.exit, since the action may have left something open.
 */
export const runByHand = async (
  ticket: Ticket,
  { iterationLimit = null, databaseUrl = null, signal }: RunByHandOptions = {},
): Promise<Outcome> => {
  await giveRunEnvironment()
  const run = beginRun(ticket, {
    iterationLimit,
    databaseUrl,
    secretsPath: ticket.bounds?.user ? await leaveRoot(ticket.bounds.user) : secretsPath(),
  })
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  let ended = false
  trapProcess(run, {
    stopAsked: signal => askToStop(run, signal),
    thrown: error => resolve(thrownOutcome(run, error)),
    left: exitCode => {
      if (!ended) tell(run, exitedOutcome(run, exitCode))
    },
  })
  const stop = () => run.stop.ask('interrupted')
  if (signal?.aborted) stop()
  else signal?.addEventListener('abort', stop, { once: true })
  const outcome = await Promise.race([promise, executeTicket(run)])
  ended = true
  tell(run, outcome)
  return outcome
}

/** What was root's stays behind: rights, and what its environment held. @returns the open file for what is to be hidden, if there is one */
const leaveRoot = async (user: RunUser): Promise<number | null> => {
  const path = secretsPath()
  const secrets = path === null ? null : process.getBuiltinModule('node:fs').openSync(path, 'a', 0o600)
  const { loadConfig } = await import('../config.ts')
  const { runEnvironment } = await import('../runs/run-environment.ts')
  const kept = runEnvironment(await loadConfig(), { mark: process.env[markVariable] ?? '' })
  for (const name of Object.keys(process.env)) if (!(name in kept)) delete process.env[name]
  becomeUser(user)
  return secrets
}

/** An action finds these two in its environment, as it does when the supervisor starts it. */
const giveRunEnvironment = async () => {
  const { loadConfig } = await import('../config.ts')
  const { runtime, actions, modules, commands } = await loadConfig()
  Object.assign(process.env, {
    BGTASK_RUNTIME: runtime,
    BGTASK_ACTIONS: actions.join(delimiter),
    BGTASK_MODULES: modules,
    ...(commands ? { BGTASK_COMMANDS: commands } : {}),
  })
}

/** Where whoever shows our output wants to know what to hide; null when it goes straight to a terminal. */
const secretsPath = (): string | null => {
  const path = process.env.BGTASK_SECRETS_FILE
  delete process.env.BGTASK_SECRETS_FILE // what the action starts is none of this run
  return path || null
}

const askToStop = (run: CurrentRun, signal: NodeJS.Signals) => {
  if (run.stop.asked) process.exit(signal === 'SIGINT' ? 130 : 143)
  console.error('bgtask: asked to stop; once more ends it at once')
  run.stop.ask('interrupted')
}

/** On stderr, so that what the action printed can be piped on. */
const tell = ({ ticket }: CurrentRun, outcome: Outcome) => {
  if (outcome.error) console.error(outcome.error)
  console.error(`${ticket.action} ${ticket.taskId} ${outcome.kind}${outcome.content ? `: ${outcome.content}` : ''}`)
}
