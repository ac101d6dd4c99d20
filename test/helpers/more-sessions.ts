import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sign } from '@fastify/cookie'

/**
 * So many more sessions of somebody who is signed in, as if they had signed in so often: rows of their own, and cookies signed with the panel's
 * own secret. For what needs dozens of sessions, and not the time of dozens of logins.
 * @param cookie of a session that is open; SQLite only
 * @returns their cookies
 */
export const moreSessions = (runtime: string, cookie: string, count: number): string[] => {
  const [, name, value] = /(?:^|; )((?:__Host-bgtask|bgtask-[0-9a-f]+))=([^;]+)/.exec(cookie) ?? []
  if (name === undefined || value === undefined) throw new Error(`There is no session in ${cookie}.`)
  const secret = readFileSync(join(runtime, 'session-secret'), 'utf8').trim()
  const database = new DatabaseSync(join(runtime, 'bgtask.sqlite'), { timeout: 10_000 })
  try {
    const signed = decodeURIComponent(value)
    const copy = database.prepare(
      `INSERT INTO bg_session (id_hash, user_id, data, ip, user_agent, expires_at, created_at, seen_at)
       SELECT ?, user_id, data, ip, user_agent, expires_at, created_at, seen_at FROM bg_session WHERE id_hash = ?`,
    )
    return Array.from({ length: count }, () => {
      const id = randomBytes(24).toString('base64url')
      const { changes } = copy.run(hash(id), hash(signed.slice(0, signed.lastIndexOf('.'))))
      if (changes !== 1) throw new Error('That session is not open.')
      return `${name}=${encodeURIComponent(sign(id, secret))}`
    })
  } finally {
    database.close()
  }
}

const hash = (id: string) => createHash('sha256').update(id).digest('hex')
