import { messageOf } from '../errors.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import type { ProcessIdentity } from '../runs/process-identity.ts'
import { type Db, isAway } from '../store/database.ts'
import { endOnceMany } from '../store/end-once.ts'
import { noteAdopted } from '../store/note-adopted.ts'
import { noteIncidents } from '../store/note-incidents.ts'
import { noteProcess } from '../store/note-process.ts'
import { type LoopFact, type StartedRun, saveLoops } from '../store/save-loops.ts'
import { afterOnce } from '../task/after-once.ts'
import { runName } from '../task/run.ts'
import type { Incidents } from './incidents.ts'
import type { LoopEntry } from './loop-entry.ts'

interface EndedRun {
  taskId: number
  number: number
  end: RunEnd
  process?: ProcessIdentity
  /** Told instead of the name, when it is in the database. */
  recorded?: () => void
}

/** A run that ends sooner than this has its process noted with its end, in one commit. */
const noteProcessAfterMs = 300
const endsAtOnce = 100

/**
 * Carries facts into the database, each until it is there. What cannot be written now waits here, and as outcome.json in
 * its folder, so neither an outage nor our own death loses it; every write may be repeated.
 */
export class Recorder {
  readonly #owner: { host: string; epoch: string }
  readonly #recorded: (name: string) => void
  readonly #incidents: Incidents | null
  readonly #onceEnds = new Map<string, EndedRun>()
  readonly #loopEnds = new Map<string, EndedRun>()
  readonly #loopStarts = new Map<string, StartedRun>()
  readonly #processes = new Map<string, { taskId: number; number: number; identity: ProcessIdentity; adopted: boolean; at: number }>()
  readonly #loops = new Set<LoopEntry>()

  /** @param incidents null where nobody is told of any */
  constructor(owner: { host: string; epoch: string }, incidents: Incidents | null, recorded: (name: string) => void) {
    this.#owner = owner
    this.#incidents = incidents
    this.#recorded = recorded
  }

  /** Ended runs that are not in the database yet. */
  get unrecorded(): number {
    return this.#onceEnds.size + this.#loopEnds.size
  }
  /** Something that is not a matter of course: what is recorded may change what is wanted next. */
  get hasWork(): boolean {
    return this.unrecorded + this.#loopStarts.size + this.#loops.size > 0
  }
  holds(taskId: number, number: number): boolean {
    return this.#onceEnds.has(runName(taskId, number))
  }

  onceProcess(taskId: number, number: number, identity: ProcessIdentity, adopted: boolean): void {
    this.#processes.set(runName(taskId, number), { taskId, number, identity, adopted, at: performance.now() })
  }
  onceEnded(taskId: number, number: number, end: RunEnd, recorded?: () => void): void {
    const name = runName(taskId, number)
    const noted = this.#processes.get(name)
    this.#processes.delete(name)
    this.#onceEnds.set(name, { taskId, number, end, ...(noted ? { process: noted.identity } : {}), ...(recorded ? { recorded } : {}) })
  }
  loopStarted(run: StartedRun): void {
    this.#loopStarts.set(runName(run.taskId, run.number), run)
  }
  loopEnded(taskId: number, number: number, end: RunEnd): void {
    this.#loopEnds.set(runName(taskId, number), { taskId, number, end })
  }
  loopChanged(entry: LoopEntry): void {
    this.#loops.add(entry)
  }

  /** Writes all that waits. @throws what the database threw; what was not written then still waits */
  async flush(db: Db, trouble: (sentence: string) => void): Promise<void> {
    await this.#flushLoops(db, trouble)
    for (const [name, { taskId, number, identity, adopted, at }] of [...this.#processes]) {
      if (!adopted && performance.now() - at < noteProcessAfterMs) continue
      await noteProcess(db, taskId, number, identity)
      if (adopted) await noteAdopted(db, [{ taskId, number }], this.#owner)
      this.#processes.delete(name)
    }
    await this.#flushOnceEnds(db, trouble)
  }

  async #flushLoops(db: Db, trouble: (sentence: string) => void): Promise<void> {
    const ids = new Set([
      ...[...this.#loops].map(entry => entry.task.id),
      ...[...this.#loopStarts.values(), ...this.#loopEnds.values()].map(run => run.taskId),
    ])
    if (ids.size === 0) return
    await this.#saveLoops(db, ids).catch(async (error: unknown) => {
      if (isAway(error)) throw error
      // One that the database refuses must not keep the others from being recorded.
      for (const id of ids) {
        await this.#saveLoops(db, new Set([id])).catch(async (reason: unknown) => {
          if (isAway(reason)) throw reason
          // Should it be what is to be told, then the facts go before that.
          const untold = async () => {
            await this.#saveLoops(db, new Set([id]), null)
            this.#incidents?.waiting(new Set([id])).written()
          }
          if (await this.#saveUntold(untold, reason, trouble)) return
          trouble(`What became of loop ${id} is refused by the database and waits: ${messageOf(reason)}`)
        })
      }
    })
  }

  async #saveLoops(db: Db, ids: ReadonlySet<number>, told = this.#incidents): Promise<void> {
    const facts = new Map([...this.#loops].filter(entry => ids.has(entry.task.id)).map(entry => [entry, factOf(entry)]))
    const starts = [...this.#loopStarts].filter(([, run]) => ids.has(run.taskId))
    const ends = [...this.#loopEnds].filter(([, ended]) => ids.has(ended.taskId))
    const incidents = told?.waiting(ids)
    await saveLoops(
      db,
      this.#owner,
      { facts: [...facts.values()], starts: starts.map(([, run]) => run), ends: ends.map(([, ended]) => ended) },
      incidents?.changes.length ? trx => noteIncidents(db, trx, this.#incidents!.notify, incidents.changes) : undefined,
    )
    incidents?.written()
    for (const [name, run] of starts) if (this.#loopStarts.get(name) === run) this.#loopStarts.delete(name)
    for (const [name] of ends) {
      this.#loopEnds.delete(name)
      this.#recorded(name)
    }
    // One that changed while its last fact was on the way is written again.
    for (const [entry, fact] of facts) if (JSON.stringify(factOf(entry)) === JSON.stringify(fact)) this.#loops.delete(entry)
  }

  async #flushOnceEnds(db: Db, trouble: (sentence: string) => void): Promise<void> {
    for (let left = this.#onceEnds.size; left > 0; left -= endsAtOnce) {
      const ends = [...this.#onceEnds].slice(0, endsAtOnce)
      await this.#endOnces(db, ends).catch(async (error: unknown) => {
        if (isAway(error)) throw error
        for (const one of ends) {
          await this.#endOnces(db, [one]).catch(async (reason: unknown) => {
            if (isAway(reason)) throw reason
            if (await this.#saveUntold(() => this.#endOnces(db, [one], null), reason, trouble)) return
            trouble(`The end of run ${one[0]} is refused by the database and waits in its folder: ${messageOf(reason)}`)
          })
        }
      })
    }
  }

  /** @returns true when it is recorded, though people are not told of it */
  async #saveUntold(save: () => Promise<void>, why: unknown, trouble: (sentence: string) => void): Promise<boolean> {
    if (this.#incidents === null) return false
    try {
      await save()
    } catch (error) {
      if (isAway(error)) throw error
      return false
    }
    trouble(`Of an incident nobody can be told, since the database refuses it: ${messageOf(why)}`)
    return true
  }

  async #endOnces(db: Db, ends: [string, EndedRun][], incidents = this.#incidents): Promise<void> {
    const random = Math.random()
    const now = Date.now()
    await endOnceMany(
      db,
      ends.map(([, ended]) => ({ ...ended, decide: task => afterOnce(task, ended.end, now, random) })),
      incidents ? (trx, failed) => noteIncidents(db, trx, incidents.notify, incidents.failed(failed)) : undefined,
    )
    for (const [name, { recorded }] of ends) {
      this.#onceEnds.delete(name)
      if (recorded) recorded()
      else this.#recorded(name)
    }
  }
}

const factOf = (entry: LoopEntry): LoopFact => ({
  taskId: entry.task.id,
  number: entry.number,
  state: entry.state,
  reason: entry.reason,
  runAt: entry.reason?.until ?? entry.task.runAt,
  content: entry.content,
  startedAt: entry.startedAt,
  finishedAt: entry.finishedAt,
})
