import type { Json } from '../task/task.ts'
import { marker, type Redactor } from './redactor.ts'
import { isSecretAt } from './secret-values.ts'
import { hideUrlPasswords } from './url-passwords.ts'

/**
 * A copy in which people see no secret: `[redacted]` stands for all that lies under a secret's name, for passwords in addresses,
 * and for each value that the redactor knows. true, false, null and what is empty are no secrets.
 */
export const redactJson = (json: Json, redactor: Redactor): Json =>
  mapSecrets(json, {
    whole: () => marker,
    number: number => (isKnown(number, redactor) ? marker : number),
    text: text => hideUrlPasswords(redactor.text(text), password => (password.startsWith('[redacted') ? password : marker)),
  })

/** Where something is in params: its keys, and `*` for a place in a list. */
export type Place = readonly string[]

/** Whether a number, as it is written, has a value of the redactor in it. */
export const isKnown = (number: number, redactor: Redactor): boolean => redactor.text(String(number)) !== String(number)

/** @param what.whole for what lies under a secret's name; @param what.text for every other text, keys included; @param what.number for every other number */
export const mapSecrets = (
  json: Json,
  what: {
    whole: (hidden: Json, place: Place) => Json
    text: (text: string, place: Place) => string
    number: (number: number, place: Place) => Json
  },
  place: Place = [],
): Json => {
  if (typeof json === 'string') return what.text(json, place)
  if (typeof json === 'number') return what.number(json, place)
  if (Array.isArray(json)) return json.map(item => mapSecrets(item, what, [...place, '*']))
  if (typeof json !== 'object' || json === null) return json
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) => {
      const inner = [...place, key]
      return [what.text(key, place), isSecretAt(json, key) && mayHide(value) ? what.whole(value, inner) : mapSecrets(value, what, inner)]
    }),
  )
}

const mayHide = (value: Json): boolean => {
  if (value === null || typeof value === 'boolean' || value === '') return false
  return typeof value !== 'object' || Object.keys(value).length > 0
}
