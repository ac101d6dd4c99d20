import { BgtaskError, messageOf } from '../errors.ts'
import { type Db, isAway, openDatabase } from '../store/database.ts'
import type { Log } from './supervisor.ts'

/** The supervisor's way to the database, which may be away at any time: then work is left undone and said so, never thrown. */
export class Database {
  /** Wall clock; null while it answers. */
  awaySince: number | null = null
  readonly #url: string
  readonly #log: Log
  #db: Promise<Db> | null = null
  #lastTrouble = ''

  constructor(url: string, log: Log) {
    this.#url = url
    this.#log = log
  }

  /**
   * @throws BgtaskError `misconfigured`: waiting will not mend it
   * @returns undefined when the work was not done, or may have been: the caller looks again when the database is back
   */
  async use<T>(work: (db: Db) => Promise<T>): Promise<T | undefined> {
    try {
      this.#db ??= openDatabase(this.#url)
      const result = await work(await this.#db)
      if (this.awaySince !== null) this.#log.info(`the database is back after ${Math.round((Date.now() - this.awaySince) / 1000)} s`)
      this.awaySince = null
      this.#lastTrouble = ''
      return result
    } catch (error) {
      if (error instanceof BgtaskError && error.code === 'misconfigured') throw error
      this.#note(error)
      return undefined
    }
  }

  async close(): Promise<void> {
    const db = await this.#db?.catch(() => null)
    this.#db = null
    await db?.close().catch((error: unknown) => this.#log.warn(`closing the database: ${messageOf(error)}`))
  }

  #note(error: unknown): void {
    const trouble = messageOf(error)
    if (trouble !== this.#lastTrouble) this.#log.warn(`database: ${trouble}${isAway(error) ? '; what runs goes on, facts wait' : ''}`)
    this.#lastTrouble = trouble
    // A mistake of ours, or of the data, is no outage.
    if (isAway(error)) this.awaySince ??= Date.now()
    // An opening that failed is tried anew; an open pool mends itself.
    const opening = this.#db
    opening?.catch(() => {
      if (this.#db === opening) this.#db = null
    })
  }
}
