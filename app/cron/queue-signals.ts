/**
 * What a worker may throw besides errors; none of these counts as a failure of the item. They are known by their mark and not by their class, since a
 * module may have found another copy of this package than the one that runs it.
 */
const mark = Symbol.for('bgtask.queue')

/** Nothing of this queue can be done now (the mail server is away, say): the item stays, and this run goes on with the next queue. */
export class SuspendQueue extends Error {
  readonly [mark] = { suspend: true, delayMs: 0 }
  constructor(why = '') {
    super(why)
    this.name = 'SuspendQueue'
  }
}

/** Not now: the item goes back to the end of its queue. */
export class RequeueItem extends Error {
  readonly [mark]: QueueSignal
  /** @param options.delayS not before so many seconds from now. Default 0 */
  constructor(why = '', { delayS = 0 }: { delayS?: number } = {}) {
    super(why)
    this.name = 'RequeueItem'
    this[mark] = { suspend: false, delayMs: Math.max(0, Math.min(delayS, 365 * 86_400)) * 1000 }
  }
}

export interface QueueSignal {
  suspend: boolean
  delayMs: number
}

/** @returns null for everything else that is thrown */
export const signalOf = (thrown: unknown): QueueSignal | null =>
  typeof thrown === 'object' && thrown !== null && mark in thrown ? (thrown[mark] as QueueSignal) : null
