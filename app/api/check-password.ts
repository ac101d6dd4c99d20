import { BgtaskError } from '../errors.ts'

/** At least 12 characters, none of the common ones, nothing made of the name or of one or two characters. @throws BgtaskError `refused` */
export const checkPassword = (password: string, name: string): void => {
  const length = [...password].length
  if (length < 12) throw refused(`The password has ${length} characters; at least 12 are needed. A sentence is easy to remember.`)
  if (length > 1024) throw refused(`The password has ${length} characters; at most 1,024 are allowed.`)
  if (password.includes('\0') || !password.isWellFormed()) throw refused('The password has a character that is no text; give another one.')
  const plain = password.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '')
  const rest = plain.replaceAll(name.replace(/[^\p{L}\p{N}]/gu, '') || '\0', '')
  if (new Set(password).size < 4 || isCommon(plain) || isCommon(rest) || [...rest].length < 4) {
    throw refused(
      'The password is easy to guess: it is common, or made of the user name, or of few different characters. Give another one.',
    )
  }
}

// What remains of a password of 12 characters that everybody tries: one of these words, with digits around it, perhaps repeated.
const words = [
  'password',
  'passwort',
  'passwd',
  'passw0rd',
  'p4ssw0rd',
  'pssword',
  'motdepasse',
  'contraseña',
  'administrator',
  'admin',
  'root',
  'qwertyuiop',
  'qwerty',
  'qwertz',
  'azerty',
  'asdfghjkl',
  'zxcvbnm',
  'letmein',
  'welcome',
  'iloveyou',
  'changeme',
  'default',
  'secret',
  'bgtask',
  'test',
  'login',
  'master',
  'superuser',
  'dragon',
  'monkey',
  'football',
  'baseball',
  'sunshine',
  'princess',
  'correcthorsebatterystaple',
  'thisismypassword',
  'mypassword',
  'abcdefghijklmnopqrstuvwxyz',
]

const isCommon = (plain: string): boolean => {
  const letters = plain.replace(/^\p{N}+|\p{N}+$/gu, '')
  const isRun = letters.length >= 6 && 'abcdefghijklmnopqrstuvwxyz'.includes(letters)
  return letters === '' || isRun || words.some(word => letters.replaceAll(word, '') === '')
}

const refused = (sentence: string) => new BgtaskError('refused', sentence)
