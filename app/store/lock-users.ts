import type { Transaction } from 'kysely'
import type { Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import type { Tables } from './tables.ts'

/** Who adds the first user, changes a role or removes somebody meets the others who do at one row that is surely there, and then sees what they did. */
export const lockUsers = async (db: Db, trx: Transaction<Tables>): Promise<void> => {
  await forUpdate(db, trx.selectFrom('bg_migration').select('name').orderBy('name').limit(1)).execute()
}
