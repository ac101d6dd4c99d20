import { BgtaskError } from '../errors.ts'
import type { Json } from '../task/task.ts'
import { told } from '../task/told.ts'
import { isKnown, mapSecrets, type Place } from './redact-json.ts'
import type { Redactor } from './redactor.ts'
import { hideUrlPasswords, urlPasswords } from './url-passwords.ts'
import { newlyTo } from './where-to.ts'

/** Params to begin a form with: each secret is a placeholder, `[redacted 1]`, which means "as before" when it comes back. */
export interface Prefill {
  shown: Json
  hidden: readonly Hidden[]
  /** The params themselves have a text in them that looks like a placeholder. */
  hasMarks: boolean
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
    text: (text, place) => hideParts(text, redactor, found => hide(place, found, false)),
  })
  return { shown, hidden, hasMarks: hasMarks(params) }
}

const hideParts = (text: string, redactor: Redactor, mark: (found: string) => string): string =>
  hideUrlPasswords(redactor.text(text, mark), found => (isPlaceholder(found) ? found : mark(found)))

/**
 * Puts what was hidden back where its placeholder still stands. A placeholder means something only in the place that it had
 * (in a list, the order may change), and only where the new params have it hidden again by what they keep: else a secret could be
 * moved to where it is shown, or what hides it could be taken away around it. Nor may the params name another host than they did: what cannot be
 * read cannot be sent to somebody else either.
 * @param prefill what the form began with
 * @param redactorOf finds the secrets of given params, as it will where the new ones are shown
 * @throws BgtaskError `refused`, naming the place
 */
export const restoreParams = (given: Json, prefill: Prefill, redactorOf: (params: Json) => Redactor): Json => {
  const { shown, hidden } = prefill
  const kept: Kept[] = []
  const restore = (json: Json, at: Steps): Json => {
    if (typeof json === 'string') return restoreText(json, at, hidden, kept)
    if (Array.isArray(json)) return json.map((item, index) => restore(item, [...at, index]))
    if (typeof json !== 'object' || json === null) return json
    return Object.fromEntries(
      Object.entries(json).map(([key, value]) => {
        const name = String(restoreText(key, at, hidden, kept, true))
        return [name, restore(value, [...at, name])]
      }),
    )
  }
  const restored = restore(given, [])
  if (kept.length > 0) {
    requireHidden(restored, kept, redactorOf)
    const elsewhere = newlyTo(given, shown)
    if (elsewhere) throw sentElsewhere(elsewhere)
  }
  if (hasMarks(restored) && !prefill.hasMarks) throw noPlaceholder()
  return restored
}

const hasMarks = (params: Json): boolean => JSON.stringify(params).includes('[redacted')

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

/** Keys, and numbers in lists. */
type Steps = readonly (string | number)[]

/** What came back, and where it is now; `text` is the whole of the text that it is a part of, null where it is no part. */
interface Kept {
  placeholder: string
  at: Steps
  value: Json
  text: string | null
  range: Range
}
type Range = readonly [start: number, end: number]

const restoreText = (text: string, at: Steps, hidden: readonly Hidden[], kept: Kept[], isKey = false): Json => {
  const place = placeOf(at)
  const only = /^\[redacted (\d{1,6})\]$/.exec(text)
  const whole = only && standsFor(only[1]!, place, hidden)
  if (whole?.whole && !isKey) {
    kept.push({ placeholder: text, at, value: whole.value, text: null, range: [0, 0] })
    return whole.value
  }
  const parts: Omit<Kept, 'text'>[] = []
  let restored = ''
  let from = 0
  for (const { 0: placeholder, 1: number, index } of text.matchAll(placeholders)) {
    const found = standsFor(number!, place, hidden)
    if (!found || found.whole) throw misplaced(placeholder, place)
    restored += text.slice(from, index)
    const value = String(found.value)
    parts.push({ placeholder, at, value, range: [restored.length, restored.length + value.length] })
    restored += value
    from = index + placeholder.length
  }
  restored += text.slice(from)
  kept.push(...parts.map(part => ({ ...part, text: restored })))
  return restored
}

const placeholders = /\[redacted (\d{1,6})\]/g

/**
 * All that came back must be hidden where it is now: whole again where it was whole, a part where it was a part. It must be so by what came
 * back alone, too: if a value that was typed could do it, the answer would tell whether it is the right one.
 */
const requireHidden = (restored: Json, kept: readonly Kept[], redactorOf: (params: Json) => Redactor) => {
  const asShown = redactorOf(restored)
  const named = wholesIn(restored)
  const sources: Json[] = kept.flatMap(({ at, value, text, range }): Json[] => {
    if (text === null) return named.has(idOf(at)) ? [{ password: value }] : []
    return urlRanges(text)
      .filter(password => contains(range, password))
      .map(([start, end]) => `x://x:${text.slice(start, end)}@x`)
  })
  const ofKept = redactorOf(sources)
  const texts = wordsIn(restored)
  for (const { placeholder, at, value, text, range } of kept) {
    const isHidden =
      text === null
        ? named.has(idOf(at)) || (typeof value === 'number' && texts.has(idOf(at)) && isKnown(value, asShown) && isKnown(value, ofKept))
        : texts.has(idOf(at, text)) &&
          rangesOf(text, mark => hideParts(text, asShown, mark)).some(shown => contains(shown, range)) &&
          (urlRanges(text).some(password => contains(password, range) && contains(range, password)) ||
            rangesOf(text, mark => ofKept.text(text, mark)).some(known => contains(known, range)))
    if (!isHidden) throw misplaced(placeholder, placeOf(at))
  }
}

/** Places of what is hidden for its name. */
const wholesIn = (params: Json): ReadonlySet<string> => {
  const found = new Set<string>()
  mapSecrets(withIndexes(params), {
    whole: (value, place) => {
      found.add(idOf(place))
      return value
    },
    text: text => text,
    number: number => number,
  })
  return found
}

/** All texts, keys included, and the places of all numbers that are not hidden for a name. */
const wordsIn = (params: Json): ReadonlySet<string> => {
  const found = new Set<string>()
  mapSecrets(withIndexes(params), {
    whole: value => value,
    text: (text, place) => {
      found.add(idOf(place, text))
      return text
    },
    number: (number, place) => {
      found.add(idOf(place))
      return number
    },
  })
  return found
}

/** With an object in place of each list, so that the place of an item tells which it is. */
const withIndexes = (json: Json): Json => {
  if (typeof json !== 'object' || json === null) return json
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, withIndexes(value)]))
}

const idOf = (at: Steps, text?: string) => JSON.stringify([at.map(String), text])

const placeOf = (at: Steps): Place => at.map(step => (typeof step === 'number' ? '*' : step))

const contains = (outer: Range, [start, end]: Range) => outer[0] <= start && end <= outer[1]

const urlRanges = (text: string): Range[] => [...urlPasswords(text)].map(({ start, end }) => [start, end])

/** Where in a text is what was hidden; nothing, if that is not sure. */
const rangesOf = (text: string, hide: (mark: (found: string) => string) => string): Range[] => {
  const values: string[] = []
  const unmarked = (found: string) => found.replace(placeholders, (mark, number: string) => values[Number(number) - 1] ?? mark)
  const shown = hide(found => `[redacted ${values.push(unmarked(found))}]`)
  const ranges: Range[] = []
  let at = 0
  let from = 0
  for (const { 0: mark, 1: number, index } of shown.matchAll(placeholders)) {
    const start = at + index - from
    at = start + (values[Number(number) - 1] ?? '').length
    ranges.push([start, at])
    from = index + mark.length
  }
  return unmarked(shown) === text.toWellFormed() ? ranges : []
}

const standsFor = (number: string, place: Place, hidden: readonly Hidden[]): Hidden | undefined => {
  const found = hidden[Number(number) - 1]
  return found && found.place.length === place.length && found.place.every((step, index) => step === place[index]) ? found : undefined
}

const misplaced = (placeholder: string, place: Place) =>
  new BgtaskError(
    'refused',
    told`${['params', ...place.filter(step => step !== '*')].join('.')} has ${placeholder} in it, which stands for a hidden value in its own place only, for all of that, and only where it is hidden again. Leave it as it was, or replace all of it by the value itself.`,
  )

const sentElsewhere = ({ place, to }: { place: Place; to: string }) =>
  new BgtaskError(
    'refused',
    told`${['params', ...place.filter(step => step !== '*')].join('.')} names ${to.slice(0, 200)}, which was not there before, and hidden values are left as they are. Give them anew with it, so that none is sent where it does not belong.`,
  )

const noPlaceholder = () =>
  new BgtaskError(
    'refused',
    told`The params have [redacted] in them, which stands for a hidden value in its own place only. Leave it as it was told, or give the value itself.`,
  )
