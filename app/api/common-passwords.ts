import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * Passwords that many people had, in lower case, as leaked lists show: the dictionary of zxcvbn (zxcvbn-ts, @zxcvbn-ts/language-common).
 * Read when it is first asked for.
 */
export const commonPasswords = (): ReadonlySet<string> => {
  // The file alone: the package itself would also load keyboards and dictionaries of words.
  read ??= new Set(JSON.parse(readFileSync(fileURLToPath(import.meta.resolve('@zxcvbn-ts/language-common/src/passwords.json')), 'utf8')))
  return read
}

let read: Set<string> | undefined
