import { messageOf } from '../errors.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { claimTasks } from '../store/claim-task.ts'
import type { Down } from '../store/hosts.ts'
import type { Task } from '../task/task.ts'
import type { Child } from './child.ts'
import type { Database } from './database.ts'
import type { Launcher } from './launcher.ts'
import type { OnceView } from './plan.ts'
import type { Recorder } from './recorder.ts'
import type { Log } from './supervisor.ts'
import { tellCrash } from './tell-crash.ts'
import { neverStarted, taskOf } from './ticket-facts.ts'

/** How long nothing is claimed after a process could not be started (no memory, no space, no process number left). */
const spawnPauseMs = 5_000

interface OnceEntry {
  task: Task
  /** null while the claim is under way. */
  child: Child | null
  cancelWanted: boolean
  cancelledBy: string | null
  /** Monotonic. */
  deadlineAt: number | null
}

/** The ONCE tasks that this supervisor has claimed and that have not ended, and those that are due next. */
export class Onces {
  readonly #owner: { host: string; epoch: string }
  readonly #launcher: Launcher
  readonly #recorder: Recorder
  readonly #database: Database
  readonly #log: Log
  readonly #changed: (why: 'ended' | 'started') => void
  readonly #entries = new Map<number, OnceEntry>()
  #due: Task[] = []
  #pausedUntil = 0
  #leaving = false
  #down: Down | null = null

  constructor(
    owner: { host: string; epoch: string },
    launcher: Launcher,
    recorder: Recorder,
    database: Database,
    log: Log,
    changed: (why: 'ended' | 'started') => void,
  ) {
    this.#owner = owner
    this.#launcher = launcher
    this.#recorder = recorder
    this.#database = database
    this.#log = log
    this.#changed = changed
  }

  get count(): number {
    return this.#entries.size
  }
  get children(): Child[] {
    return [...this.#entries.values()].flatMap(entry => entry.child ?? [])
  }
  has(taskId: number): boolean {
    return this.#entries.has(taskId)
  }
  childOf(taskId: number): Child | null {
    return this.#entries.get(taskId)?.child ?? null
  }
  /** Who wants it cancelled. */
  cancelledBy(taskId: number): string | null {
    return this.#entries.get(taskId)?.cancelledBy ?? null
  }
  /** Due tasks that are known and not begun. */
  get waiting(): number {
    return this.#due.length
  }
  due(now: number): readonly Task[] {
    return now < this.#pausedUntil ? [] : this.#due
  }
  views(): OnceView[] {
    return [...this.#entries.values()].map(({ task, child, cancelWanted, deadlineAt }) => ({
      taskId: task.id,
      action: task.action,
      number: task.number,
      // Until it has a process there is nothing to stop.
      stopping: child === null || child.stop !== null,
      ready: child?.ready ?? false,
      cancelWanted,
      deadlineAt,
    }))
  }

  adopt(child: Child): void {
    const task = taskOf(child.ticket)
    const elapsedMs = Math.max(0, Date.now() - child.ticket.startedAt)
    this.#entries.set(task.id, { ...entryOf(task), child, deadlineAt: deadline(task, elapsedMs) })
    this.#recorder.onceProcess(task.id, task.number, child.identity, true)
  }

  /** Takes over which tasks are due, and which of the running ones shall be cancelled. */
  take(due: readonly Task[], running: readonly Task[]): void {
    for (const task of running) {
      const entry = this.#entries.get(task.id)
      if (entry) {
        entry.cancelWanted = task.wanted === 'down'
        entry.cancelledBy = task.reason?.by ?? null
      }
      // Claimed here by an earlier life, or by a claim whose answer was lost, and never started: nothing on disk knows it.
      else if (!this.#recorder.holds(task.id, task.number)) this.#recorder.onceEnded(task.id, task.number, neverStarted())
    }
    this.#due = due.filter(task => !this.#entries.has(task.id))
  }

  async claim(tasks: readonly Task[]): Promise<void> {
    const ids = new Set(tasks.map(task => task.id))
    this.#due = this.#due.filter(({ id }) => !ids.has(id))
    for (const task of tasks) this.#entries.set(task.id, entryOf(task))
    const claimed = await this.#database.use(db => claimTasks(db, tasks, this.#owner, Date.now(), this.#down))
    const got = new Set(claimed?.map(task => task.id))
    // Somebody else has it, it was cancelled, or the database is away: the row decides, and is looked at again.
    for (const { id } of tasks) if (!got.has(id)) this.#entries.delete(id)
    for (const task of claimed ?? []) await this.#begin(task)
    this.#changed('started')
  }

  async #begin(task: Task): Promise<void> {
    const entry = this.#entries.get(task.id)!
    entry.task = task
    if (this.#leaving) return this.#over(entry, neverStarted())
    try {
      entry.child = await this.#launcher.launch(await this.#launcher.ticket(task, task.number), null)
      entry.deadlineAt = deadline(task, 0)
      this.#recorder.onceProcess(task.id, task.number, entry.child.identity, false)
    } catch (error) {
      this.#log.warn(`task ${task.id} (${task.action}) could not be started: ${messageOf(error)}`)
      this.#pausedUntil = performance.now() + spawnPauseMs
      this.#over(entry, neverStarted(messageOf(error)))
    }
  }

  ended(child: Child, end: RunEnd): void {
    const entry = this.#entries.get(child.ticket.taskId)
    if (entry?.child !== child) return
    tellCrash(this.#log, child.ticket, end)
    this.#over(entry, end)
  }

  /** When no supervisor ran here, before this one did. */
  learnDown(down: Down): void {
    this.#down = down
  }

  leave(): void {
    this.#leaving = true
  }

  #over(entry: OnceEntry, end: RunEnd): void {
    this.#entries.delete(entry.task.id)
    this.#recorder.onceEnded(entry.task.id, entry.task.number, end)
    this.#changed('ended')
  }
}

const entryOf = (task: Task): OnceEntry => ({
  ...{ task, child: null, cancelWanted: false, cancelledBy: null, deadlineAt: null },
})
const deadline = (task: Task, elapsedMs: number) => (task.timeoutMs === null ? null : performance.now() + task.timeoutMs - elapsedMs)
