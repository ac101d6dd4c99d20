import { BgtaskError, messageOf } from '../errors.ts'
import type { CallerTransaction, Db } from '../store/database.ts'
import type { Executor } from '../store/transact.ts'

/**
 * A transaction of another database would commit the task where no supervisor looks for it. Two connections see the same database
 * when both see the same migrations, applied at the same milliseconds. Asked once for each Kysely instance.
 * @throws BgtaskError `refused`
 */
export const requireSameDatabase = async (db: Db, trx: CallerTransaction): Promise<void> => {
  // One adapter is made for each Kysely instance and shared by its transactions.
  const { adapter } = trx.getExecutor()
  if (adapter === db.kysely.getExecutor().adapter || sameAs.get(adapter) === db) return
  const ours = await ourFingerprint(db)
  let theirs: string
  try {
    theirs = await fingerprint(trx.withoutPlugins())
  } catch (error) {
    throw new BgtaskError('refused', `trx is a transaction of a database without the tables of bgtask (${messageOf(error)}); ${remedy}`, {
      cause: error,
    })
  }
  if (ours !== theirs) throw new BgtaskError('refused', `trx is a transaction of another database; ${remedy}`)
  sameAs.set(adapter, db)
}

const remedy = 'begin it on the database that DATABASE_URL names, or leave trx out.'

const sameAs = new WeakMap<object, Db>()
const fingerprints = new WeakMap<Db, string>()

const ourFingerprint = async (db: Db): Promise<string> => {
  const found = fingerprints.get(db) ?? (await fingerprint(db.kysely))
  fingerprints.set(db, found)
  return found
}

const fingerprint = async (executor: Executor): Promise<string> => {
  const rows: unknown = await executor.selectFrom('bg_migration').select(['name', 'started_at', 'applied_at']).orderBy('name').execute()
  return JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))
}
