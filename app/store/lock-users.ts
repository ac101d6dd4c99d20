import type { Transaction } from 'kysely'
import { BgtaskError } from '../errors.ts'
import { translate } from '../texts/translate.ts'
import type { Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import type { Tables } from './tables.ts'

/** The administrator who asks. */
export interface By {
  userId: number
}

/** Nothing was done: who asked is no administrator (any more). `users.refused.not-admin` says it in the reader's language. */
export class NotAdmin extends BgtaskError {
  override readonly httpStatus: number = 403
  constructor() {
    super('conflict', translate('en', 'users.refused.not-admin'))
  }
}

/** Who adds a user, changes a role or removes somebody meets the others who do at one row that is surely there, and then sees what they did. */
export const lockUsers = async (db: Db, trx: Transaction<Tables>): Promise<void> => {
  await forUpdate(db, trx.selectFrom('bg_migration').select('name').orderBy('name').limit(1)).execute()
}

/**
 * For what administrators alone do: asked again where it is done, since a password is hashed between the request and here. Comes first in
 * the transaction, and holds until its end.
 * @param by absent: nobody who could have become less, as the command line
 * @throws NotAdmin
 */
export const lockAdmin = async (db: Db, trx: Transaction<Tables>, by: By | undefined): Promise<void> => {
  if (!by) return
  await lockUsers(db, trx)
  const asking = await trx.selectFrom('bg_user').select('role').where('id', '=', by.userId).executeTakeFirst()
  if (asking?.role !== 'admin') throw new NotAdmin()
}
