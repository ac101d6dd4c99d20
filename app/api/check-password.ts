import { BgtaskError } from '../errors.ts'
import { type TextKey, translate } from '../texts/translate.ts'
import { commonPasswords } from './common-passwords.ts'

/** Characters, not bytes. */
export const passwordLength = { least: 12, most: 1024 } as const

/** @throws BgtaskError `refused`, in English, for what passwordProblem finds */
export const checkPassword = (password: string, name: string): void => {
  const problem = passwordProblem(password, name)
  if (problem) throw new BgtaskError('refused', translate('en', problem.key, problem.values))
}

/**
 * At least 12 characters; none of the common ones, also with digits and signs around it, written in leetspeak, or repeated; nothing made
 * of the user's name or of a few characters.
 * @returns null when it may be used
 */
export const passwordProblem = (password: string, name: string): { key: TextKey; values: { length: number } } | null => {
  const length = [...password].length
  const problem = (key: TextKey) => ({ key, values: { length } })
  if (length < passwordLength.least) return problem('password.short')
  if (length > passwordLength.most) return problem('password.long')
  if (password.includes('\0') || !password.isWellFormed()) return problem('password.noText')
  const lower = password.normalize('NFC').toLowerCase()
  const withoutName = lower.replaceAll(name.toLowerCase() || '\0', '')
  const isWeak =
    new Set(password).size < 4 || [...bare(withoutName)].length < 4 || [lower, withoutName, bare(withoutName, bare(name))].some(isCommon)
  return isWeak ? problem('password.common') : null
}

/** Words that are in no list of passwords, but close at hand here. */
const words = new Set([
  'bgtask',
  'passwort',
  'pssword',
  'motdepasse',
  'contraseña',
  'administrator',
  'changeme',
  'superuser',
  'correcthorsebatterystaple',
  'thisismypassword',
])

const isCommon = (lower: string): boolean => {
  const core = lower.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '')
  return [bare(lower), bare(core), bare(plain(core)), bare(plain(lower))].some(text => {
    if (text === '') return true
    const unit = repeated(text)
    return (unit.length >= 4 ? commonPasswords().has(unit) || words.has(unit) : unit.length < text.length) || isSequence(text)
  })
}

/** Letters and digits alone. */
const bare = (text: string, without = ''): string => {
  const left = text.replace(/[^\p{L}\p{N}]/gu, '')
  return without === '' ? left : left.replaceAll(without, '')
}

/** `p4$$w0rd` reads password. */
const plain = (text: string): string => text.replace(/[013457@$!|+]/g, sign => leet[sign] ?? sign)
const leet: Record<string, string> = { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't', '@': 'a', $: 's', '!': 'i', '|': 'l', '+': 't' }

/** What the text repeats, the text itself when it repeats nothing. Linear: a text that repeats is found within its own double. */
const repeated = (text: string): string => text.slice(0, (text + text).indexOf(text, 1))

/** A stretch of the alphabet, of the digits, or of a row of keys. */
const isSequence = (text: string): boolean => text.length >= 6 && rows.some(row => row.includes(text))
const rows = ['abcdefghijklmnopqrstuvwxyz', '01234567890123456789', 'qwertyuiopasdfghjklzxcvbnm'].flatMap(row => [
  row,
  [...row].reverse().join(''),
])
