import type { Outcome } from './outcome.ts'

/**
 * What failed runs have in common: the first line of what went wrong, without what differs from case to case (numbers, ids, quoted values,
 * addresses). Runs with the same text failed by the same error, as far as can be told.
 * @returns at most 300 characters
 */
export const errorPattern = (outcome: Pick<Outcome, 'kind' | 'content' | 'error' | 'exitCode' | 'signal'>): string => {
  const pattern = volatile.reduce((text, [part, instead]) => text.replace(part, instead), errorSample(outcome).slice(0, readAtMost))
  return pattern.replace(/\s+/g, ' ').trim().slice(0, 300).toWellFormed()
}

/** The same as it was said: the first line of the message, or how the process ended when it said nothing. At most 500 characters. */
export const errorSample = ({ kind, content, error, exitCode, signal }: Parameters<typeof errorPattern>[0]): string => {
  const said = firstLine(content) ?? firstLine(error)
  if (said !== undefined) return said.slice(0, 500).toWellFormed()
  if (signal !== null) return `${kind}: ${signal}`
  return exitCode === null ? kind : `${kind}: exit code ${exitCode}`
}

/** More is not looked at: a message may be of any length. */
const readAtMost = 1_000

// Each pattern reads on without going back, so that no message takes long.
const volatile: readonly (readonly [RegExp, string])[] = [
  [/"[^"]{0,300}"|'[^']{0,300}'|`[^`]{0,300}`/g, '"…"'],
  [/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi, '…'],
  [/\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s"'<>]+/gi, '…'],
  [/[^\s@"'<>]{1,64}@[^\s@"'<>]{1,255}/g, '…'],
  [/\b0x[0-9a-f]+\b/gi, '#'],
  [/\b(?=[a-f]*\d)[0-9a-f]{8,}\b/gi, '…'],
  [/\d+(?:[.,:]\d+)*/g, '#'],
]

const firstLine = (text: string | null): string | undefined =>
  text
    ?.split('\n')
    .find(line => line.trim() !== '')
    ?.trim()

/** What the key of an error looks like, which is made of its pattern. */
export const errorKeyPattern = '^[0-9a-f]{32}$'
export const isErrorKey = (given: string): boolean => new RegExp(errorKeyPattern).test(given)
