import { pathToFileURL } from 'node:url'
import { exitCodes, messageOf } from '../errors.ts'
import type { EndFacts } from '../task/end-facts.ts'
import { type Limits, limitsOf, memorySentence, namesOf, sameLimits } from '../task/limits.ts'
import { isBadEnd, type Outcome, type OutcomeKind, type Verdict } from '../task/outcome.ts'
import { createContext } from './context.ts'
import type { CurrentRun } from './current-run.ts'
import { isStopError } from './stop.ts'

/**
 * Loads the action's file, calls it, and says how it ended. Never throws.
 * @param loaded called between the two
 */
export const executeTicket = async (run: CurrentRun, loaded: () => void = () => {}): Promise<Outcome> => {
  const { refusal } = run.ticket
  if (refusal) return { kind: 'failed', content: cut(refusal), error: null, exitCode: exitCodes.misconfigured, signal: null }
  let execute: Execute
  try {
    execute = await loadAction(run.ticket)
    loaded()
  } catch (error) {
    return notLoaded(run.ticket, error)
  }
  return callAction(run, execute)
}

/** Calls an action that is loaded, and says how it ended. Never throws. */
export const callAction = async (run: CurrentRun, execute: Execute): Promise<Outcome> => {
  // Asked to stop while the file was loading: what has not begun need not be ended.
  if (run.stop.asked) return stopped(run.stop.asked, null)
  try {
    return judge(run, await execute(createContext(run)))
  } catch (error) {
    return thrownOutcome(run, error)
  }
}

/** The outcome of a run that threw `error`, or in which nobody caught it. @param uncaught where it was thrown, when nothing waited for it there */
export const thrownOutcome = (run: CurrentRun, error: unknown, uncaught?: EndFacts['uncaught']): Outcome => {
  const { asked } = run.stop
  if (asked && (asked !== 'interrupted' || isStopError(error))) return stopped(asked, null)
  const memoryMb = run.ticket.limits?.memoryMb
  if (memoryMb && isOutOfMemory(error))
    return {
      kind: 'out-of-memory',
      content: null,
      error: `${memorySentence(memoryMb)}\n${cut(traceOf(error))}`,
      exitCode: exitCodes.failed,
      signal: null,
    }
  return {
    ...{ kind: 'failed', content: cut(messageOf(error)), error: cut(traceOf(error)), exitCode: failureCode(error), signal: null },
    ...(uncaught ? { facts: { uncaught } } : {}),
  }
}

/** The outcome of a run whose process leaves by itself with `exitCode`, before its action came to an end. */
export const exitedOutcome = (run: CurrentRun, exitCode: number): Outcome =>
  run.stop.asked
    ? { ...stopped(run.stop.asked, null), exitCode }
    : {
        kind: 'exited',
        content: `The process left with exit code ${exitCode} before its action had ended.`,
        error: null,
        exitCode,
        signal: null,
      }

/** The code that the process of a run with this outcome leaves with. */
export const exitCodeOf = (outcome: Outcome): number => outcome.exitCode ?? (isBadEnd(outcome.kind) ? 1 : 0)

const checkout = import.meta.dirname.replace(/[^/]+\/runner$/, '')

export type Execute = (context: ReturnType<typeof createContext>) => unknown

type ToLoad = Pick<CurrentRun['ticket'], 'action' | 'file' | 'exportName' | 'limits'>

/** @throws why it does not load */
export const loadAction = async (ticket: ToLoad): Promise<Execute> => {
  // Only for those that need it: it takes longer than the rest of the way to the action.
  if (!ticket.file.startsWith(checkout)) (await import('../runs/resolve-bgtask.ts')).resolveBgtask()
  const module = (await import(pathToFileURL(ticket.file).href)) as Record<string, unknown>
  const action = await actionIn(module, ticket.exportName)
  requireLimits(ticket, limitsOf(action))
  if (typeof action.execute === 'function') return action.execute as Execute
  throw new Error('it exports no execute; write: export async function execute(ctx) { … }')
}

const actionIn = async (module: Record<string, unknown>, exportName: string): Promise<{ execute?: unknown }> => {
  const whole = module.default as { execute?: unknown } | undefined
  if (exportName === 'default' ? typeof whole?.execute === 'function' : typeof module.execute !== 'function' && exportName === 'execute')
    return whole ?? {}
  if (exportName === 'execute' || exportName === 'default') return module
  return oneOfSeveral(module, exportName)
}

/** @param exportName as it stands in the file, or as the action's name has it when the file had not been described */
const oneOfSeveral = async (module: Record<string, unknown>, exportName: string): Promise<{ execute?: unknown }> => {
  // What was several actions may have become a single one since.
  const isSeveral = typeof module.execute !== 'function' && typeof (module.default as { execute?: unknown })?.execute !== 'function'
  const { nameOfExport } = await import('../task/export-name.ts')
  const found = isSeveral && Object.keys(module).find(key => key === exportName || nameOfExport(key) === exportName)
  const value = found && found !== 'default' && !found.startsWith('_') && module[found]
  if (typeof value === 'function') return { execute: value }
  if (typeof value === 'object' && value !== null && 'execute' in value) return value
  throw new Error(
    `it exports no function ${exportName}; write: export async function ${exportName.replace(/-(.)/g, (_, letter) => letter.toUpperCase())}(ctx) { … }`,
  )
}

// The supervisor gave what was known of the file when it looked. It may have changed since, or not have loaded then.
const requireLimits = (ticket: ToLoad, asked: Limits | null) => {
  if (sameLimits(asked, ticket.limits ?? null)) return
  throw new Error(
    `it asks for ${asked ? namesOf(asked) : 'no limits'}, and this run was started with ${ticket.limits ? namesOf(ticket.limits) : 'none'}, by what was known of the file. Run it again.`,
  )
}

// What Node throws when the kernel gives it no more memory for a buffer.
const isOutOfMemory = (error: unknown) =>
  error instanceof Error &&
  ((error as NodeJS.ErrnoException).code === 'ERR_MEMORY_ALLOCATION_FAILED' || /^Array buffer allocation failed/.test(error.message))

const notLoaded = (ticket: ToLoad, error: unknown): Outcome => ({
  kind: 'failed',
  content: cut(`The action ${ticket.action} does not load from ${ticket.file}: ${messageOf(error)}`),
  error: cut(traceOf(error)),
  exitCode: failureCode(error),
  signal: null,
})

const judge = (run: CurrentRun, returned: unknown): Outcome => {
  const { asked, watched } = run.stop
  const content = contentOf(returned)
  if (isVerdict(returned) && returned.verdict === 'failure')
    return { kind: 'failed', content, error: null, exitCode: failureCode(null), signal: null }
  // A loop has no end of its own. A ONCE action that knew of the stop and returns nothing has left early;
  // one that says something, or never looked, has done its work.
  if (asked && (run.ticket.execType === 'FOREVER' || run.loopStopped || (watched && returned === undefined))) return stopped(asked, content)
  const succeeded: Outcome = { kind: 'succeeded', content, error: null, exitCode: 0, signal: null }
  return run.recycled === null ? succeeded : { ...succeeded, content: content ?? run.recycled, recycled: true }
}

const stopped = (asked: Extract<OutcomeKind, 'interrupted' | 'cancelled' | 'timed-out'>, content: string | null): Outcome => ({
  kind: asked,
  content,
  error: null,
  exitCode: isBadEnd(asked) ? 1 : 0,
  signal: null,
})

/** 78 when the action said that its configuration is wrong: by an error that carries it, or by process.exitCode. */
const failureCode = (error: unknown): number => {
  // A database that is away comes back; a command line that was given a wrong address says 78 all the same.
  if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'database-away') return exitCodes.failed
  const said = typeof error === 'object' && error !== null && 'exitCode' in error ? error.exitCode : process.exitCode
  return Number(said) === exitCodes.misconfigured ? exitCodes.misconfigured : exitCodes.failed
}

const isVerdict = (returned: unknown): returned is Verdict =>
  typeof returned === 'object' &&
  returned !== null &&
  'verdict' in returned &&
  (returned.verdict === 'success' || returned.verdict === 'failure')

const contentOf = (returned: unknown): string | null => {
  if (returned === undefined || returned === null || returned === '') return null
  if (typeof returned === 'string') return cut(returned)
  if (isVerdict(returned)) return contentOf(returned.content)
  try {
    return cut(JSON.stringify(returned) ?? String(returned))
  } catch (error) {
    return `(what execute returned cannot be stored: ${messageOf(error)})`
  }
}

const contentBytes = 65_536

/** Bounded by bytes of UTF-8, and never within a character. */
const cut = (text: string): string => {
  const whole = text.toWellFormed()
  const size = Buffer.byteLength(whole)
  if (size <= contentBytes) return whole
  const note = `\n… (cut: ${size} bytes, of which ${contentBytes} are kept)`
  const head = Buffer.from(whole).subarray(0, contentBytes - Buffer.byteLength(note))
  return new TextDecoder().decode(head).replace(/\ufffd$/, '') + note
}

/** Message, stack and causes. */
const traceOf = (error: unknown): string => process.getBuiltinModule('node:util').inspect(error)
