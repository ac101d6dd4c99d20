import { BgtaskError } from '../errors.ts'
import type { CallerTransaction, Db } from '../store/database.ts'
import { claimItem, countItems, deleteItem, insertItem, putBack, type StoredItem } from '../store/queue-items.ts'
import { checkJson } from './check-json.ts'
import { requireSameDatabase } from './require-same-database.ts'
import { showValue } from './show-value.ts'

/** An item that was claimed: who has it may delete or release it, until its lease is over and somebody else claims it. */
export interface QueueItem<Data = unknown> {
  readonly id: number
  readonly data: Data
  /** When it was made, in milliseconds since 1970. */
  readonly createdAt: number
  /** How often it failed in cron runs before. */
  readonly failures: number
  /** Proof of the claim. */
  readonly claim: string
}

/** Items that wait in the database until somebody works them: a cron run, by the worker that a module names, or whoever claims them. */
export interface Queue<Data = unknown> {
  readonly name: string
  /**
   * Stores an item. When it returns, the item exists after any crash.
   * @param data plain JSON, at most 64 kB
   * @param options.trx the caller's own Kysely transaction on the same database: the item is there when that commits, and only then
   * @returns its id
   * @throws BgtaskError `refused`: nothing is stored
   */
  createItem(data: Data, options?: { trx?: CallerTransaction | null }): Promise<number>
  /**
   * Takes the item that has waited longest; of several who try, one gets it.
   * @param leaseS so many seconds nobody else gets it; who dies meanwhile loses it then. Default 3600
   * @returns null when none waits
   */
  claimItem(leaseS?: number): Promise<QueueItem<Data> | null>
  /** It is done. @returns false when its lease is over and somebody else has claimed it, or it is gone */
  deleteItem(item: Pick<QueueItem, 'id' | 'claim'>): Promise<boolean>
  /** It waits again, at its old place. @returns as deleteItem */
  releaseItem(item: Pick<QueueItem, 'id' | 'claim' | 'createdAt'>): Promise<boolean>
  /** How many there are, claimed ones among them; those that were set aside are not counted. */
  numberOfItems(): Promise<number>
}

/** @throws BgtaskError `refused` when the name cannot be one */
export const queueOf = <Data = unknown>(name: string, open: () => Promise<{ db: Db }>): Queue<Data> => {
  if (typeof name !== 'string' || !/^[A-Za-z][\w.:-]{0,63}$/.test(name)) {
    throw new BgtaskError(
      'refused',
      `The queue is ${showValue(name)}; its name must be a letter, then letters, digits, and . _ - :, at most 64 in all.`,
    )
  }
  return {
    name,
    async createItem(data, { trx } = {}) {
      const checked = checkJson(data, 'data')
      const { db } = await open()
      if (trx) await requireSameDatabase(db, trx)
      return insertItem(db, { queue: name, data: checked, now: Date.now() }, trx ?? undefined)
    },
    async claimItem(leaseS = 3_600) {
      if (!(typeof leaseS === 'number' && leaseS > 0 && leaseS <= 365 * 86_400))
        throw new BgtaskError(
          'refused',
          `The lease is ${showValue(leaseS)}; it must be a number of seconds, more than 0 and at most a year.`,
        )
      const item = await claimItem((await open()).db, name, { now: Date.now(), leaseMs: Math.ceil(leaseS * 1000) })
      return item && shownItem<Data>(item)
    },
    async deleteItem(item) {
      const held = heldOf(item)
      return deleteItem((await open()).db, held)
    },
    async releaseItem(item) {
      const held = heldOf(item)
      const createdAt = Number.isSafeInteger(item.createdAt) ? item.createdAt : Date.now()
      return putBack((await open()).db, held, { freeAt: createdAt })
    },
    async numberOfItems() {
      return countItems((await open()).db, name)
    },
  }
}

export const shownItem = <Data>({ id, data, createdAt, failures, claim }: StoredItem): QueueItem<Data> => ({
  id,
  data: data as Data,
  createdAt,
  failures,
  claim: claim!,
})

const heldOf = (item: unknown) => {
  const { id, claim } = (typeof item === 'object' && item !== null ? item : {}) as { id?: unknown; claim?: unknown }
  if (Number.isSafeInteger(id) && typeof claim === 'string') return { id: id as number, claim }
  throw new BgtaskError('refused', `The item is ${showValue(item)}; give the one that claimItem returned.`)
}
