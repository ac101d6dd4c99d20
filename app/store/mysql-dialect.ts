import type { Socket } from 'node:net'
import { type Dialect, MysqlDialect, type MysqlPool, type MysqlPoolConnection } from 'kysely'
import { createPool, type PoolConnection } from 'mysql2'
import { DatabaseTimeout } from './is-away.ts'

/** MySQL or MariaDB behind a small pool, each of whose statements ends within the time limit, whatever the server does. */
export const openMysql = (url: string, statementTimeoutMs: number): { dialect: Dialect; isMariaDb: () => Promise<boolean> } => {
  const pool = new TimedPool(url, statementTimeoutMs)
  return { dialect: new MysqlDialect({ pool: pool as MysqlPool }), isMariaDb: () => pool.isMariaDb() }
}

const socketOf = (connection: unknown) => (connection as { stream: Socket }).stream

type Callback<T> = (error: unknown, result: T) => void

/** What Kysely expects of a pool, over mysql2's. */
class TimedPool {
  readonly #pool: ReturnType<typeof createPool>
  readonly #limitMs: number
  readonly #ready = new WeakMap<PoolConnection, TimedConnection>()
  readonly #open = new Set<PoolConnection>()
  #version: string | null = null

  constructor(url: string, limitMs: number) {
    this.#limitMs = limitMs
    this.#pool = createPool({
      uri: url,
      connectionLimit: 4,
      connectTimeout: Math.min(5_000, limitMs),
      // A transaction of ours is either ended or its connection destroyed, so there is nothing to reset.
      resetOnRelease: false,
      charset: 'UTF8MB4_BIN',
      supportBigNumbers: true,
      decimalNumbers: true,
      dateStrings: true,
    })
    // A connection that nobody uses does not keep a program alive which has added its tasks and is done.
    this.#pool.on('acquire', connection => void socketOf(connection).ref())
    this.#pool.on('release', connection => void socketOf(connection).unref())
    this.#pool.on('connection', connection => {
      this.#open.add(connection as unknown as PoolConnection)
      connection.once('end', () => this.#open.delete(connection as unknown as PoolConnection))
      // Said to whoever uses the connection; one that breaks while idle just leaves the pool.
      connection.on('error', () => this.#open.delete(connection as unknown as PoolConnection))
    })
  }

  async isMariaDb(): Promise<boolean> {
    if (this.#version === null) {
      await new Promise<void>((resolve, reject) => {
        this.getConnection((error, connection) => {
          if (error) return reject(error)
          connection.release()
          resolve()
        })
      })
    }
    return /mariadb/i.test(this.#version ?? '')
  }

  getConnection(callback: Callback<TimedConnection>): void {
    const answer = once<TimedConnection>((error, connection) => {
      clearTimeout(timer)
      callback(error, connection)
    })
    const timer = setTimeout(() => answer(new DatabaseTimeout(this.#limitMs, 'a connection'), undefined as never), this.#limitMs)
    this.#pool.getConnection((error, raw) => {
      if (error) return answer(error, undefined as never)
      this.#prepared(raw).then(
        connection => (answer.done ? connection.release() : answer(null, connection)), // when done, nobody waits for it any more
        reason => answer(reason, undefined as never),
      )
    })
  }

  /** Ends all connections, politely for as long as a second. */
  end(callback: (error: unknown) => void): void {
    const answer = once<void>(callback)
    const timer = setTimeout(() => {
      for (const connection of this.#open) connection.destroy()
      answer(null, undefined)
    }, 1_000)
    this.#pool.end(() => {
      clearTimeout(timer)
      answer(null, undefined)
    })
  }

  async #prepared(raw: PoolConnection): Promise<TimedConnection> {
    const known = this.#ready.get(raw)
    if (known) return known
    const made = new TimedConnection(raw, this.#limitMs)
    try {
      await this.#prepare(made)
    } catch (error) {
      raw.destroy()
      throw error
    }
    this.#ready.set(raw, made)
    return made
  }

  async #prepare(connection: TimedConnection): Promise<void> {
    const ask = (sql: string) =>
      new Promise<unknown>((resolve, reject) => connection.query(sql, [], (error, result) => (error ? reject(error) : resolve(result))))
    this.#version ??= ((await ask('SELECT VERSION() AS version')) as { version: string }[])[0]!.version
    await ask('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
    // The server gives up before we do, so that mostly the connection survives.
    const limitMs = Math.max(100, this.#limitMs - 250)
    const limit = /mariadb/i.test(this.#version) ? `max_statement_time = ${limitMs / 1000}` : `max_execution_time = ${limitMs}`
    const lockWait = `innodb_lock_wait_timeout = ${Math.max(1, Math.floor(this.#limitMs / 1000) - 1)}`
    await ask(`SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', ${lockWait}, ${limit}`)
  }
}

class TimedConnection {
  readonly #raw: PoolConnection
  readonly #limitMs: number
  #broken: unknown = null

  constructor(raw: PoolConnection, limitMs: number) {
    this.#raw = raw
    this.#limitMs = limitMs
  }

  get config(): object {
    return this.#raw.config
  }
  get threadId(): number {
    return this.#raw.threadId!
  }

  // The limit counts from here, so also while the statement waits behind another one of this connection.
  query(sql: string, parameters: readonly unknown[], callback: Callback<never>): ReturnType<MysqlPoolConnection['query']> {
    const answer = once(callback)
    if (this.#broken) {
      // The server has rolled back; to say so would hide why the connection broke.
      queueMicrotask(() => (sql === 'rollback' ? answer(null, [] as never) : answer(this.#broken, undefined as never)))
    } else {
      const timer = setTimeout(() => {
        this.#broken = new DatabaseTimeout(this.#limitMs, 'an answer')
        this.#raw.destroy()
        answer(this.#broken, undefined as never)
      }, this.#limitMs)
      this.#raw.query(sql, parameters as unknown[], (error, result) => {
        clearTimeout(timer)
        if (error && isFatal(error)) this.#broken ??= error
        answer(error, result as never)
      })
    }
    return { stream: noStream }
  }

  connect(callback?: (error: unknown) => void): void {
    this.#raw.connect(callback)
  }
  destroy(): void {
    this.#broken ??= new Error('The connection was closed.')
    this.#raw.destroy()
  }
  release(): void {
    if (this.#broken) this.#raw.destroy()
    this.#raw.release()
  }
}

const isFatal = (error: Error) => 'fatal' in error && error.fatal === true

const noStream = (): never => {
  throw new Error('Queries are not streamed here: page by key instead.')
}

/** Calls back the first time only. */
const once = <T>(callback: Callback<T>) => {
  const answer = (error: unknown, result: T) => {
    if (answer.done) return
    answer.done = true
    callback(error, result)
  }
  answer.done = false
  return answer
}
