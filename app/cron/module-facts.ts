/** What a module says of itself. */
export interface ModuleFacts {
  /** `shop` for shop.ts in the modules folder. */
  name: string
  /** Absolute path. */
  file: string
  /** It exports `cron`, which can be called. */
  hook: boolean
  /** How long its hook may take, in milliseconds. */
  hookMs: number
  /** Names of its queues. */
  queues: string[]
  /** Why it does not load, or what in it cannot be used; null when all is well. */
  error: string | null
}

/** A queue, as its module declares it and `cronQueueInfoAlter` of all modules left it. */
export interface QueueFacts {
  name: string
  module: string
  /** A cron run begins no further item of it after so many milliseconds. */
  timeMs: number
  /** How long one item may take, in milliseconds; after that it counts as failed. */
  leaseMs: number
  /** Only somebody else works it: cron does not. */
  skipOnCron: boolean
  /** An item that failed so often is set aside. */
  maxFailures: number
}

/** All modules of the folder, and the queues of those that can be used. Both sorted by name. */
export interface CronFacts {
  modules: ModuleFacts[]
  queues: QueueFacts[]
}

/** What a queue has where its module says nothing. As in Drupal, a run works 15 s on it. */
export const queueDefaults = { timeS: 15, leaseS: 240, skipOnCron: false, maxFailures: 10 } as const

/** As Drupal gives its cron. */
export const hookDefaultS = 240

export const queueName = /^[A-Za-z][\w.:-]{0,63}$/
