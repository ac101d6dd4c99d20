import { optionBounds } from '../api/check-options.ts'
import { BgtaskError } from '../errors.ts'
import { type Told, told } from '../task/told.ts'

/** How the forms call the numbers that a task may have, and in which unit they ask for them. */
const numberFields = {
  priority: { label: told`Priority`, bounds: optionBounds.priority, unitMs: null },
  max_attempts: { label: told`Tries`, bounds: optionBounds.maxAttempts, unitMs: null },
  timeout_s: { label: told`Time limit in seconds`, bounds: optionBounds.timeoutMs, unitMs: 1_000 },
  grace_s: { label: told`Grace in seconds`, bounds: optionBounds.graceMs, unitMs: 1_000 },
} as const satisfies Record<string, NumberField>

interface NumberField {
  label: Told
  /** Of the option: in milliseconds where the field has a unit. */
  bounds: readonly [least: number, most: number]
  /** null: a whole number that is no time. */
  unitMs: number | null
}

/**
 * A number of a form as the option wants it: whole, and in milliseconds when it is a time. What is wrong is told in the words of the form.
 * @returns undefined when the field was left empty
 * @throws BgtaskError `refused`
 */
export const numberField = (fields: Readonly<Record<string, string>>, name: keyof typeof numberFields): number | undefined =>
  readNumber(fields[name], numberFields[name])

/** How long from now, in the unit that was chosen beside it. */
export const delayField = (given: string | undefined, unitMs: number): number | undefined =>
  readNumber(given, { label: told`How long from now`, bounds: optionBounds.delayMs, unitMs })

const readNumber = (given: string | undefined, { label, bounds, unitMs }: NumberField): number | undefined => {
  const text = (given ?? '').trim()
  if (text === '') return undefined
  const value = unitMs === null ? Number(text) : Math.round(Number(text) * unitMs)
  const [least, most] = bounds
  if (Number.isInteger(value) && value >= least && value <= most) return value
  const shown = JSON.stringify(text.slice(0, 60))
  throw new BgtaskError(
    'refused',
    unitMs === null
      ? told`${label} is ${shown}; allowed are whole numbers from ${least} to ${most}.`
      : told`${label} is ${shown}; allowed are numbers from ${least / unitMs} to ${Math.round(most / unitMs)}.`,
  )
}
