import { messageOf } from '../errors.ts'
import { type Beat, lastSuccessOf, readBeat } from '../runs/beat.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import type { Ticket } from '../runs/ticket.ts'
import type { Db } from '../store/database.ts'
import { noteLoopSuccesses } from '../store/loop-successes.ts'
import { runName } from '../task/run.ts'

type Of = Pick<Ticket, 'taskId' | 'number'>

/** When loops last did what they should: told by their beats and ends, written once a minute, as far as it is new. */
export class LoopSuccesses {
  readonly #runtime: string
  readonly #trouble: (sentence: string) => void
  /** By id of the loop; what is written already stays, so that it is not written again. */
  readonly #known = new Map<number, { at: number; written: boolean }>()

  constructor({ runtime }: { runtime: string }, trouble: (sentence: string) => void) {
    this.#runtime = runtime
    this.#trouble = trouble
  }

  note({ taskId }: Of, beat: Beat | null): void {
    if (beat) this.#note(taskId, lastSuccessOf(beat))
  }

  ended({ taskId }: Of, end: Pick<RunEnd, 'kind' | 'endedAt' | 'iterations' | 'recycled'>): void {
    // A loop of iterations is judged by these; one that only runs again and again by how its runs end.
    if (end.kind === 'succeeded' && !end.iterations && !end.recycled) this.#note(taskId, end.endedAt)
  }

  /** It ended while nobody watched. */
  foundEnded(ticket: Of, end: RunEnd): void {
    const name = runName(ticket.taskId, ticket.number)
    try {
      this.note(ticket, readBeat(runtimePaths(this.#runtime).run(name).beat))
    } catch (error) {
      this.#trouble(`run ${name}: reading its beat failed: ${messageOf(error)}`)
    }
    this.ended(ticket, end)
  }

  /** @param loopIds of the loops that are minded here @throws what the database threw; what is not written is kept */
  async flush(db: Db, loopIds: readonly number[]): Promise<void> {
    const due = [...this.#known].filter(([, { written }]) => !written)
    await noteLoopSuccesses(
      db,
      due.map(([taskId, { at }]) => ({ taskId, at })),
    )
    for (const [, success] of due) success.written = true
    const minded = new Set(loopIds)
    for (const [taskId, { written }] of this.#known) if (written && !minded.has(taskId)) this.#known.delete(taskId)
  }

  #note(taskId: number, at: number | null): void {
    if (at !== null && at > (this.#known.get(taskId)?.at ?? 0)) this.#known.set(taskId, { at, written: false })
  }
}
