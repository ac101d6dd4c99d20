import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Actor, audited } from '../api/audited.ts'
import type { Config } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { writeWhole } from '../runs/write-file.ts'
import { type Cron, readCron, setCronKey } from '../store/cron.ts'
import type { Db } from '../store/database.ts'
import { told } from '../task/told.ts'

/** The key of the address by which cron can be run. */
export interface CronKey {
  /** null: it was made on another host, in whose runtime folder its text lies; the database has only its hash. */
  text: string | null
  /** Milliseconds since 1970. */
  madeAt: number
  madeBy: string
}

type Tools = { db: Db; config: Pick<Config, 'runtime'> }

/** The key as it can be shown here; null: there is none yet, and the address opens nothing. */
export const readCronKey = async ({ db, config }: Tools): Promise<CronKey | null> => {
  const { key } = await readCron(db)
  if (key === null) return null
  const text = readText(config.runtime)
  return { text: text !== null && sha256(text) === key.hash ? text : null, madeAt: key.madeAt, madeBy: key.madeBy }
}

/**
 * Makes a key; the one before it, if there is one, opens nothing from now on.
 * @throws BgtaskError `conflict` when somebody else made one in this moment
 */
export const renewCronKey = async ({ db, config }: Tools, actor: Actor): Promise<CronKey> => {
  const { key: before } = await readCron(db)
  const text = randomBytes(32).toString('base64url')
  const key = { hash: sha256(text), madeAt: Date.now(), madeBy: actor.name ?? '' }
  await audited(db, actor, { act: before === null ? 'cron-key-made' : 'cron-key-renewed' }, async () => {
    if (!(await setCronKey(db, key, before)))
      throw new BgtaskError('conflict', told`Somebody else made a new key for cron in this moment. Look at it before you make another one.`)
    writeWhole(runtimePaths(config.runtime).cronKey, `${text}\n`, { durable: true })
  })
  return { text, madeAt: key.madeAt, madeBy: key.madeBy }
}

/** Takes as long whatever is given. */
export const isCronKey = ({ key }: Pick<Cron, 'key'>, given: string): boolean => {
  const hash = Buffer.from(sha256(given), 'hex')
  const isSame = timingSafeEqual(hash, key === null ? randomBytes(hash.length) : Buffer.from(key.hash, 'hex'))
  return isSame && key !== null
}

const readText = (runtime: string): string | null => {
  try {
    return readFileSync(runtimePaths(runtime).cronKey, 'utf8').trim() || null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
