/**
 * The first whole number in a JSON text that no program in JavaScript holds exactly: 12345678901234567890 would silently become 12345678901234567000.
 * @param json a text that can be parsed, and is not nested too deep to be walked through
 * @returns as it is written, at most 40 characters; null when there is none
 */
export const inexactNumberIn = (json: string): string | null => {
  // What is smaller than 2^53 has fewer digits, or fits.
  if (!/\d{16}/.test(json)) return null
  let found: string | null = null
  JSON.parse(json, (_key: string, value: unknown, context?: { source?: string }) => {
    const source = context?.source
    if (typeof value === 'number' && source !== undefined && /^-?\d+$/.test(source) && !Number.isSafeInteger(value)) found ??= source
    return value
  })
  return found === null ? null : (found as string).slice(0, 40)
}
