import { BgtaskError } from '../errors.ts'
import type { Json } from '../task/task.ts'
import { isKnown, mapSecrets, type Place } from './redact-json.ts'
import type { Redactor } from './redactor.ts'
import { hideUrlPasswords } from './url-passwords.ts'

/** Params to begin a form with: each secret is a placeholder, `[redacted 1]`, which means "as before" when it comes back. */
export interface Prefill {
  shown: Json
  hidden: readonly Hidden[]
}

/** What a placeholder stands for: number 1 is the first of the list. */
interface Hidden {
  place: Place
  value: Json
  /** false: part of a text. */
  whole: boolean
}

export const prefillParams = (params: Json, redactor: Redactor): Prefill => {
  const hidden: Hidden[] = []
  const hide = (place: Place, value: Json, whole: boolean) => `[redacted ${hidden.push({ place, value, whole })}]`
  const shown = mapSecrets(params, {
    whole: (value, place) => hide(place, value, true),
    number: (number, place) => (isKnown(number, redactor) ? hide(place, number, true) : number),
    text: (text, place) => {
      const part = (found: string) => hide(place, found, false)
      return hideUrlPasswords(redactor.text(text, part), found => (isPlaceholder(found) ? found : part(found)))
    },
  })
  return { shown, hidden }
}

/**
 * Puts what was hidden back where its placeholder still stands. A placeholder means something only in the place that it had
 * (in a list, the order may change): else a secret could be moved to where it is shown.
 * @throws BgtaskError `refused`, naming the place
 */
export const restoreParams = (given: Json, hidden: readonly Hidden[]): Json => {
  const restore = (json: Json, place: Place): Json => {
    if (typeof json === 'string') return restoreText(json, place, hidden)
    if (Array.isArray(json)) return json.map(item => restore(item, [...place, '*']))
    if (typeof json !== 'object' || json === null) return json
    return Object.fromEntries(
      Object.entries(json).map(([key, value]) => {
        const name = String(restoreText(key, place, hidden))
        return [name, restore(value, [...place, name])]
      }),
    )
  }
  return restore(given, [])
}

export const isPlaceholder = (text: string): boolean => /^\[redacted(?: \d{1,6})?\]$/.test(text)

/** Where a placeholder stands under a secret's name; null when there is none. */
export const placeholderIn = (params: Json): Place | null => {
  let found: Place | null = null
  mapSecrets(params, {
    whole: (value, place) => {
      if (typeof value === 'string' && isPlaceholder(value)) found ??= place
      return value
    },
    text: text => text,
    number: number => number,
  })
  return found
}

const restoreText = (text: string, place: Place, hidden: readonly Hidden[]): Json => {
  const only = /^\[redacted (\d{1,6})\]$/.exec(text)
  if (only) {
    const found = standsFor(only[1]!, place, hidden)
    if (found) return found.value
    throw misplaced(text, place)
  }
  return text.replace(/\[redacted (\d{1,6})\]/g, (placeholder, number: string) => {
    const found = standsFor(number, place, hidden)
    if (found && !found.whole) return String(found.value)
    throw misplaced(placeholder, place)
  })
}

const standsFor = (number: string, place: Place, hidden: readonly Hidden[]): Hidden | undefined => {
  const found = hidden[Number(number) - 1]
  return found && found.place.length === place.length && found.place.every((step, index) => step === place[index]) ? found : undefined
}

const misplaced = (placeholder: string, place: Place) =>
  new BgtaskError(
    'refused',
    `${['params', ...place.filter(step => step !== '*')].join('.')} has ${placeholder} in it, which stands for a hidden value in its own place only, and for all of that. ` +
      'Leave it as it was, or replace all of it by the value itself.',
  )
