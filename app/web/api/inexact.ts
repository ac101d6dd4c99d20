import { inexactNumberIn } from '../../api/inexact-number.ts'
import { BgtaskError } from '../../errors.ts'

/**
 * Why JSON that was sent cannot be kept as it is.
 * @param place how the sentence calls it
 * @param json what has been read, and is not nested too deep
 * @returns null when it can be kept
 */
export const inexact = (place: string, json: string): BgtaskError | null => {
  const number = inexactNumberIn(json)
  if (number === null) return null
  return new BgtaskError(
    'refused',
    `${place} holds the number ${number}, which is too large to be kept exactly; give it as text, in quotes.`,
  )
}
