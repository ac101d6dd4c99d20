import type { Sentence } from './task/told.ts'

/** Exit codes of the command line (sysexits.h where it has one). */
export const exitCodes = { done: 0, failed: 1, usage: 2, busy: 75, misconfigured: 78 } as const

/**
 * A mistake somebody can mend: its message says what is wrong, with what, and what to do next.
 * The command line prints the message alone and ends with `exitCode`; the web answers with `httpStatus`, and says it in the reader's language.
 */
export class BgtaskError extends Error {
  readonly code: ErrorCode
  readonly exitCode: number
  readonly httpStatus: number
  /** The message with its parts kept, where it was made so; else the message. */
  readonly sentence: Sentence
  constructor(code: ErrorCode, sentence: Sentence, options?: ErrorOptions) {
    super(String(sentence), options)
    this.name = 'BgtaskError'
    this.sentence = sentence
    this.code = code
    this.exitCode = kinds[code].exitCode
    this.httpStatus = kinds[code].httpStatus
  }
}

/** `refused`: bad input, nothing stored. `forbidden`: who asks may not. `conflict`: the unique key is held. `busy`: already running, or not possible in this state. */
export type ErrorCode = 'refused' | 'forbidden' | 'conflict' | 'not-found' | 'busy' | 'usage' | 'misconfigured' | 'database-away' | 'failed'

const kinds = {
  refused: { exitCode: exitCodes.failed, httpStatus: 422 },
  forbidden: { exitCode: exitCodes.failed, httpStatus: 403 },
  conflict: { exitCode: exitCodes.failed, httpStatus: 409 },
  'not-found': { exitCode: exitCodes.failed, httpStatus: 404 },
  busy: { exitCode: exitCodes.busy, httpStatus: 409 },
  usage: { exitCode: exitCodes.usage, httpStatus: 400 },
  misconfigured: { exitCode: exitCodes.misconfigured, httpStatus: 500 },
  'database-away': { exitCode: exitCodes.misconfigured, httpStatus: 503 },
  failed: { exitCode: exitCodes.failed, httpStatus: 500 },
} as const satisfies Record<ErrorCode, { exitCode: number; httpStatus: number }>

/** The text of whatever was thrown, without its stack. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message || thrown.name : String(thrown))

/** The same, as a sentence that a page can say in the reader's language, where it is one of ours. */
export const sentenceOf = (thrown: unknown): Sentence => (thrown instanceof BgtaskError ? thrown.sentence : messageOf(thrown))

/** @returns the line of the file at which it could not be loaded, or threw; null when nothing tells. The message alone does not say it */
export const lineOf = (thrown: unknown, file: string): number | null => {
  if (!(thrown instanceof Error)) return null
  const { href } = process.getBuiltinModule('node:url').pathToFileURL(file)
  const inStack = (text: string) => {
    const at = [href, file].map(name => text.split(`${name}:`)[1]?.match(/^\d+/)?.[0]).find(Boolean)
    return at === undefined ? null : Number(at)
  }
  const line = inStack(thrown.stack ?? '')
  if (line !== null || thrown.name !== 'SyntaxError') return line
  // Of JavaScript that cannot be read Node says the line only to whoever reads its stderr.
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const env = { PATH: process.env.PATH }
  return inStack(spawnSync(process.execPath, ['--check', file], { env, encoding: 'utf8', timeout: 5_000 }).stderr)
}
