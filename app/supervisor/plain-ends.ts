import type { RunEnd } from '../runs/outcome-file.ts'
import { type Db, isAway } from '../store/database.ts'
import { endSucceeded } from '../store/end-succeeded.ts'
import { runName } from '../task/run.ts'

export interface PlainEnd {
  taskId: number
  number: number
  action: string
  end: RunEnd
  /** It is in the database now. */
  recorded: () => void
}

/** Recorded in one commit. */
const endsAtOnce = 500

/**
 * Ends that concern nobody but their own task, and are mostly successes: they are recorded together by the hundred. What turns out to be another
 * case is handed on to whoever looks at each.
 */
export class PlainEnds {
  readonly #host: string
  readonly #otherwise: (end: PlainEnd) => void
  readonly #ends = new Map<string, PlainEnd>()
  #flushing: Promise<void> | null = null

  constructor(host: string, otherwise: (end: PlainEnd) => void) {
    this.#host = host
    this.#otherwise = otherwise
  }

  get size(): number {
    return this.#ends.size
  }
  holds(taskId: number, number: number): boolean {
    return this.#ends.has(runName(taskId, number))
  }
  add(end: PlainEnd): void {
    this.#ends.set(runName(end.taskId, end.number), end)
  }

  /** Writes all that waits. @throws what the database threw; what was not written then still waits */
  flush(db: Db): Promise<void> {
    this.#flushing ??= this.#flushAll(db).finally(() => (this.#flushing = null))
    return this.#flushing
  }

  async #flushAll(db: Db): Promise<void> {
    while (this.#ends.size) {
      const some = [...take(this.#ends.values(), endsAtOnce)]
      const rows = some.map(({ taskId, number, action, end }) => ({
        taskId,
        number,
        action,
        endedAt: end.endedAt,
        content: end.content,
        outputBytes: end.outputBytes ?? null,
      }))
      const done = await endSucceeded(db, rows, this.#host).catch((error: unknown) => {
        if (isAway(error)) throw error
        return false // one that the database refuses: looked at one by one it will not keep the others from being recorded
      })
      for (const end of some) {
        this.#ends.delete(runName(end.taskId, end.number))
        if (done) end.recorded()
        else this.#otherwise(end)
      }
    }
  }
}

function* take<T>(values: Iterable<T>, most: number): Generator<T> {
  let left = most
  for (const value of values) {
    if (left-- <= 0) return
    yield value
  }
}
