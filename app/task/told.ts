import type { TaskState } from './task.ts'

/** What a sentence may have in it: words of others as they are, or another sentence of ours. */
export type ToldValue = string | number | Told
/** A sentence for people: one of ours with its parts kept, or words of others, which nobody translates. */
export type Sentence = string | Told

/**
 * A sentence of ours. As text, and as JSON, it is English; its parts are kept, so that a page can say it in another language
 * (`app/texts/tell.ts`). Its key is the English sentence itself, with `{0}`, `{1}` … where the values stand.
 */
export class Told {
  readonly key: string
  readonly values: readonly ToldValue[]
  constructor(key: string, values: readonly ToldValue[]) {
    this.key = key
    this.values = values
  }
  toString(): string {
    return this.key.replace(/\{(\d+)\}/g, (_, index) => String(this.values[Number(index)]))
  }
  toJSON(): string {
    return this.toString()
  }
}

/** Written like any template: told`${path} is not there.` */
export const told = (texts: TemplateStringsArray, ...values: ToldValue[]): Told =>
  new Told(
    texts.reduce((key, text, index) => `${key}{${index - 1}}${text}`),
    values,
  )

/** A state as a word within a sentence. */
export const stateWord = (state: TaskState): Told => new Told(state, [])

/** "a", "a and b", "a and b and c". */
export const allOf = (parts: readonly ToldValue[]): Sentence => listed(parts, (left, right) => told`${left} and ${right}`)
/** "a", "a or b", "a or b or c". */
export const anyOf = (parts: readonly ToldValue[]): Sentence => listed(parts, (left, right) => told`${left} or ${right}`)
/** "a; b; c": faults, one after the other. */
export const inTurn = (parts: readonly ToldValue[]): Sentence => listed(parts, (left, right) => told`${left}; ${right}`)

/** With a full stop, unless it ends like a sentence. */
export const fullStop = (sentence: Sentence): Sentence => (/[.?!]$/.test(String(sentence)) ? sentence : told`${sentence}.`)

const listed = (parts: readonly ToldValue[], join: (left: ToldValue, right: ToldValue) => Told): Sentence => {
  const [first = '', ...more] = parts
  const whole = more.reduce((left, right) => join(left, right), first)
  return typeof whole === 'number' ? String(whole) : whole
}
