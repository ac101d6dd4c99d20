import type { Background } from '../api/background.ts'
import type { Queue, QueueItem } from '../api/queue.ts'
import type { Db } from '../store/database.ts'

/** Prints one line into the output of the cron run. */
export interface CronLog {
  (text: string, fields?: Readonly<Record<string, unknown>>): void
  warn(text: string, fields?: Readonly<Record<string, unknown>>): void
  error(text: string, fields?: Readonly<Record<string, unknown>>): void
}

/** What both hooks and workers are given. */
interface Shared {
  /** The module's name: `shop` for shop.ts. */
  readonly module: string
  /** Aborts when the time is over, and when the run is asked to stop. Hand it to fetch, timers and streams. */
  readonly signal: AbortSignal
  readonly log: CronLog
  /** Hides a value wherever people see what this run prints. */
  secret(value: string): string
  /** The `addTask` of this package. */
  readonly addTask: Background['addTask']
  /** A queue by its name, as `queue` of this package. */
  queue<Data = unknown>(name: string): Queue<Data>
  /** The database that the tasks lie in. */
  db(): Promise<Db['kysely']>
}

/** What `cron(ctx)` of a module is given. */
export interface CronContext extends Shared {
  /** When this hook last began and then ended well; null: it never did. Milliseconds since 1970. */
  readonly lastRunAt: number | null
}

/** What a worker is given besides the data of the item. */
export interface WorkerContext<Data = unknown> extends Shared {
  readonly item: QueueItem<Data>
}

/** What `cronQueueInfo` says of a queue. */
// biome-ignore lint/suspicious/noExplicitAny: a worker names the type of its own data
export interface QueueInfo<Data = any> {
  /** Works one item. It is done when this returns; when it throws, it stays for a later run. */
  worker(data: Data, ctx: WorkerContext<Data>): unknown
  /** A run begins no further item after so many seconds. Default 15. */
  timeS?: number
  /** How long one item may take, in seconds. Default 240. */
  leaseS?: number
  /** Cron leaves it to others. Default false. */
  skipOnCron?: boolean
  /** An item that failed so often is set aside. Default 10. */
  maxFailures?: number
}

/** What `cronQueueInfo` gives, and `cronQueueInfoAlter` may change. */
export type QueueInfos = Record<string, QueueInfo>
