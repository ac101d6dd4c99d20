import { readFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import { addUrlPassword } from '../secrets/secret-values.ts'
import { urlPasswords } from '../secrets/url-passwords.ts'
import type { Notify } from '../task/notify.ts'
import { runtimePaths } from './runtime-folder.ts'

/** What of the configuration holds secrets, or says where they are. */
export type SecretConfig = Pick<Config, 'runtime'> & Partial<Pick<Config, 'databaseUrl' | 'adminPassword' | 'secrets' | 'notify'>>

/**
 * The secrets of this installation: the database's password, the first administrator's, what signs sessions, what notifications are sent with, and
 * the values of the environment variables named in BGTASK_SECRETS, as far as this process has them.
 * @returns `complete`: false while there is nothing yet that signs sessions, which the first start of the panel makes
 */
export const knownSecrets = (config: SecretConfig, env: NodeJS.ProcessEnv = process.env): { values: string[]; complete: boolean } => {
  const values = new Set<string>()
  const { databaseUrl = '', adminPassword } = config
  for (const { start, end } of urlPasswords(databaseUrl)) addUrlPassword(values, databaseUrl.slice(start, end))
  // One with a slash in it, say, which is no proper address but is understood as one.
  const written = /^[a-z]+:\/\/[^:/@]*:(.+)@/i.exec(databaseUrl)?.[1]
  if (written !== undefined) addUrlPassword(values, written)
  if (adminPassword) values.add(adminPassword)
  const signing = textOf(runtimePaths(config.runtime).sessionSecret)
  if (signing) values.add(signing)
  for (const value of config.notify ? notifySecrets(config.notify) : []) values.add(value)
  for (const name of config.secrets ?? []) if (env[name]) values.add(env[name])
  return { values: [...values], complete: signing !== null }
}

/** The key that signs, the whole address of the webhook's receiver, which may be as good as a key, and the password of the mail server. */
export const notifySecrets = ({ webhook, mail }: Notify): Set<string> => {
  const values = new Set<string>()
  if (webhook) {
    values.add(webhook.key)
    const { pathname, search } = new URL(webhook.url)
    if (pathname.length > 1 || search !== '') values.add(`${pathname}${search}`)
  }
  for (const { start, end } of mail ? urlPasswords(mail.smtp) : []) addUrlPassword(values, mail!.smtp.slice(start, end))
  return values
}

const textOf = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Who may not read it has not got it to show.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return null
    throw error
  }
}
