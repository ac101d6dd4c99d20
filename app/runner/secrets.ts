import { addSecret, secretLimits } from '../runs/secrets-file.ts'

/** What the action asked to hide. */
export interface Secrets {
  /** @returns the value itself */
  add(value: string): string
}

/**
 * @param place path or descriptor of secrets.jsonl; null: nobody shows the output but the terminal it goes to
 * @param warn told when a value is too short to be hidden
 */
export const createSecrets = (place: string | number | null | (() => string), warn: (text: string) => void): Secrets => {
  const known = new Set<string>()
  let characters = 0
  return {
    add(value) {
      if (typeof value !== 'string')
        throw new TypeError(`ctx.secret takes a text, and was given ${value === null ? 'null' : `a value of type ${typeof value}`}.`)
      if (known.has(value)) return value
      if (value.length < leastLength) {
        warn(`ctx.secret: a value of ${value.length} characters is too short to be hidden; it takes ${leastLength} or more.`)
        return value
      }
      if (known.size >= secretLimits.values || characters + value.length > secretLimits.characters) {
        throw new RangeError(
          `ctx.secret: no more can be hidden in one run than ${secretLimits.values} values of ${secretLimits.characters} characters in all.`,
        )
      }
      if (place !== null) addSecret(typeof place === 'function' ? place() : place, value)
      known.add(value)
      characters += value.length
      return value
    },
  }
}

/** The same as in secrets/redactor.ts, which a run has no other use for; a test compares them. */
export const leastLength = 6
