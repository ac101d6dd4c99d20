import type { LoopEntry } from './loop-entry.ts'

/** Loops that wait to be replaced by a fresh process, one after the other: the next one's turn comes when the last is up again. */
export class ReloadQueue {
  #waiting: LoopEntry[] = []
  #current: { entry: LoopEntry; number: number } | null = null

  /** @returns how many will be replaced */
  add(entries: readonly LoopEntry[]): number {
    this.#waiting = entries.filter(entry => entry.child && !entry.child.stop)
    return this.#waiting.length
  }

  /** Sets `reload` on the loop whose turn it is. */
  next(): void {
    if (this.#current && isOver(this.#current)) this.#current = null
    while (!this.#current && this.#waiting.length) {
      const entry = this.#waiting.shift()!
      if (!entry.child || entry.child.stop) continue
      entry.reload = true
      this.#current = { entry, number: entry.child.ticket.number }
    }
  }
}

// A loop whose fresh code fails, or that is no longer wanted, must not hold up the others.
const isOver = ({ entry, number }: { entry: LoopEntry; number: number }) => {
  if (entry.child) return entry.child.ticket.number > number && entry.child.ready
  return entry.task.wanted === 'down' || entry.state === 'backing-off' || entry.state === 'tripped'
}
