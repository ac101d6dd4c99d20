import { createContext, Script } from 'node:vm'
import { type Sentence, told } from '../task/told.ts'

/** A text is never longer than this; a parameter may say less. */
export const longestText = 1_000
/** A parameter that says nothing. */
export const usualLongest = 200

/*
 * Some patterns need ages for some texts: (a+)+ for aaaa…!. Three things keep that away from us: a text is short before it is looked at; the look
 * itself is broken off after a while (V8 can do that within a regular expression, for code in a context of its own); and a pattern
 * that is broken off for one of the texts with which such patterns are known to be hurt is refused when the file is read.
 */
/** A machine that is busy must not make a good pattern a bad one: it is one that was broken off three times in a row. */
const tryWithinMs = [100, 200, 400]

/** Whether the whole text is as the pattern says. @returns null: that could not be found out, neither within 100 ms nor within 200 */
export const fits = (pattern: string, text: string): boolean | null => fitsWithin(pattern, text, 100) ?? fitsWithin(pattern, text, 200)

const fitsWithin = (pattern: string, text: string, timeout: number): boolean | null => {
  context.pattern = wholeOf(pattern)
  context.text = text
  try {
    return look.runInContext(context, { timeout }) === true
  } catch {
    return null // broken off, or too deep for the stack
  }
}

/** Why it cannot be used, after "its pattern"; null: it can. */
export const whyNoPattern = (pattern: string, longest: number): Sentence | null => {
  if (!pattern.startsWith('^') || !pattern.endsWith('$'))
    return told`${JSON.stringify(pattern)} does not hold for the whole text; begin it with ^ and end it with $`
  try {
    // What is between the two must be a pattern by itself: not "a)|(b", which would come out of the group that it is put into.
    new RegExp(pattern.slice(1, -1), 'u')
    new RegExp(wholeOf(pattern), 'u')
  } catch (error) {
    return told`${JSON.stringify(pattern)} is none: ${(error as Error).message.replace(/^Invalid regular expression: /, '')}`
  }
  const hurtful = hurtfulTexts(pattern, longest).find(text => tryWithinMs.every(ms => fitsWithin(pattern, text, ms) === null))
  return hurtful === undefined
    ? null
    : told`${JSON.stringify(pattern)} takes too long for texts like ${JSON.stringify(`${hurtful.slice(0, 8)}…${hurtful.slice(-1)}`)}; let no repeated part hold another repetition or two ways to say the same`
}

// `^a|b$` means ^a or b$; in a group it means what it looks like.
const wholeOf = (pattern: string) => `^(?:${pattern.slice(1, -1)})$`

const look = new Script('new RegExp(pattern, "u").test(text)')
// No prototype, and nothing of ours in it.
const context = createContext(Object.assign(Object.create(null) as { pattern: string; text: string }, { pattern: '', text: '' }))

/** Long runs of whatever the pattern may repeat, and then something that it does not want. */
const hurtfulTexts = (pattern: string, longest: number): string[] => {
  const letters = new Set(['a', 'A', '0', '_', '-', '.', ' ', '/', ...[...pattern].filter(letter => /[^\\^$*+?()[\]{}|]/.test(letter))])
  return [...letters].slice(0, 24).flatMap(letter => ['!', '\u0001'].map(end => letter.repeat(Math.max(1, longest - 1)) + end))
}
