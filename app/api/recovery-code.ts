import { createHash, randomInt } from 'node:crypto'

/** Ten codes of 80 bit, such as `k7qm-2xwd-9fhp-t4vr`, each good once in place of a code of the app. */
export const newRecoveryCodes = (): string[] =>
  Array.from({ length: 10 }, () => Array.from({ length: 4 }, () => Array.from({ length: 4 }, letter).join('')).join('-'))

/** Under what a code lies in the database: for that user alone. null: it is none, however it is read. */
export const recoveryCodeHash = (userId: number, given: string): string | null => {
  // As a person types it: in capitals, with blanks, with the letters that we do not use for the digits they look like.
  const code = given.toLowerCase().replace(/[\s-]/g, '').replace(/[il]/g, '1').replaceAll('o', '0')
  return code.length === 16 && [...code].every(sign => alphabet.includes(sign))
    ? createHash('sha256').update(`recovery code of ${userId}: ${code}`).digest('hex')
    : null
}

// Crockford's base32: no letter that is mistaken for a digit.
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const letter = () => alphabet[randomInt(alphabet.length)]!
