import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import type { SecretConfig } from '../runs/known-secrets.ts'
import { takeLock } from '../runs/locks.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { type StallKind, stallKindOf } from '../task/end-facts.ts'
import { freshMemory, type Life, recallFailures } from '../task/restart-policy.ts'
import type { Reason, Task } from '../task/task.ts'
import type { Child } from './child.ts'
import type { Incidents } from './incidents.ts'
import { keptStartFacts } from './kept-start-facts.ts'
import type { Launcher } from './launcher.ts'
import { afterLife, asker, type LoopEntry, newLoopEntry, viewOf } from './loop-entry.ts'
import type { LoopView, Step } from './plan.ts'
import type { Recorder } from './recorder.ts'
import { ReloadQueue } from './reload-queue.ts'
import type { Log } from './supervisor.ts'
import { tellCrash } from './tell-crash.ts'
import { runOf, taskOf } from './ticket-facts.ts'

/** A start that failed here (no process, no space) is tried again after this. */
const failedStartMs = 5_000
/** How often a lock that a forgotten run holds is asked for. */
const lockedMs = 1_000

/** The loops of this host, in memory: so they go on, and are started again, while the database is away. */
export class Loops {
  readonly #config: Pick<Config, 'runtime'> & SecretConfig
  readonly #launcher: Launcher
  readonly #recorder: Recorder
  readonly #incidents: Incidents | null
  readonly #log: Log
  readonly #changed: () => void
  readonly #entries = new Map<number, LoopEntry>()
  readonly #reloads = new ReloadQueue()
  #leaving = false

  constructor(
    config: Pick<Config, 'runtime'> & SecretConfig,
    launcher: Launcher,
    recorder: Recorder,
    incidents: Incidents | null,
    log: Log,
    changed: () => void,
  ) {
    this.#config = config
    this.#launcher = launcher
    this.#recorder = recorder
    this.#incidents = incidents
    this.#log = log
    this.#changed = changed
  }

  get ids(): IterableIterator<number> {
    return this.#entries.keys()
  }
  get children(): Child[] {
    return [...this.#entries.values()].flatMap(entry => entry.child ?? [])
  }
  get launching(): boolean {
    return [...this.#entries.values()].some(entry => entry.launching)
  }
  views(): LoopView[] {
    this.#reloads.next()
    return [...this.#entries.values()].map(viewOf)
  }
  childOf(taskId: number): Child | null {
    return this.#entries.get(taskId)?.child ?? null
  }

  /** Who wants it down, or afresh: the row knows. */
  askerOf(taskId: number): string | null {
    return this.#entries.get(taskId)?.task.reason?.by ?? null
  }
  stallOf(taskId: number): { stalled?: StallKind } {
    const stalled = this.#entries.get(taskId)?.stalled
    return stalled ? { stalled } : {}
  }

  adopt(child: Child): void {
    const entry = this.#entryFor({ ...taskOf(child.ticket), wanted: child.stop?.why === 'cancelled' ? 'down' : 'up' })
    entry.child = child
    entry.number = child.ticket.number
    entry.state = child.stop ? 'stopping' : 'running'
    entry.startedAt = child.ticket.startedAt
    entry.servedWish = child.ticket.wish
    entry.progress = { iterations: child.iterations, at: performance.now(), busyMs: child.busyMs }
    entry.reason = reason('adopted', entry)
    this.#recorder.loopStarted(runOf(child.ticket, child, keptStartFacts(this.#config, child.ticket)))
    this.#note(entry)
  }

  /** A run that ended while no supervisor watched: recorded, and its number is taken. */
  foundEnded(ticket: Child['ticket'], end: RunEnd): void {
    const entry = this.#entryFor({ ...taskOf(ticket), wanted: end.kind === 'cancelled' ? 'down' : 'up' })
    entry.number = Math.max(entry.number, ticket.number)
    this.#recorder.loopEnded(ticket.taskId, ticket.number, end)
  }

  /** Takes over what the database wants now. `lives` holds the past of those not known before. */
  take(tasks: readonly Task[], lives: ReadonlyMap<number, readonly Life[]>): void {
    for (const task of tasks) {
      const known = this.#entries.has(task.id)
      const entry = this.#entryFor(task)
      entry.task = task
      entry.number = Math.max(entry.number, task.number)
      const past = lives.get(task.id)
      if (past) entry.memory = recallFailures(past)
      if (!known) resumeWait(entry)
    }
    const wanted = new Set(tasks.map(task => task.id))
    for (const [id, entry] of this.#entries) {
      if (wanted.has(id)) continue
      // Deleted, or down and settled: what still lives of it is stopped, then it is forgotten.
      if (entry.child || entry.launching) entry.task = { ...entry.task, wanted: 'down' }
      else {
        entry.lock?.close()
        this.#entries.delete(id)
      }
    }
  }

  async launch({ taskId, fresh }: Extract<Step, { do: 'start-loop' }>): Promise<void> {
    const entry = this.#entries.get(taskId)!
    entry.launching = true
    if (fresh) entry.memory = freshMemory
    entry.servedWish = entry.task.wish
    try {
      entry.lock ??= await takeLock(runtimePaths(this.#config.runtime).taskLock(taskId))
      if (!entry.lock) {
        // A run that we do not know still lives and holds it: never a second one beside it.
        entry.nextStartAt = performance.now() + lockedMs
        entry.reason = reason('survivors', entry, { detail: 'an earlier run still holds the lock of this loop' })
        return
      }
      const ticket = await this.#launcher.ticket(entry.task, entry.number + 1)
      if (this.#leaving || entry.task.wanted === 'down') return
      entry.number = ticket.number
      entry.child = await this.#launcher.launch(ticket, entry.lock)
      entry.state = 'starting'
      entry.startedAt = ticket.startedAt
      entry.progress = { iterations: 0, at: performance.now(), busyMs: 0 }
      entry.reason = reason(entry.memory.probes > 0 ? 'probing' : 'started', entry, { failures: entry.memory.inARow })
      this.#recorder.loopStarted(runOf(ticket, entry.child, keptStartFacts(this.#config, ticket)))
    } catch (error) {
      this.#log.warn(`loop ${taskId} (${entry.task.action}) could not be started: ${messageOf(error)}`)
      entry.state = 'backing-off'
      entry.nextStartAt = performance.now() + failedStartMs
      entry.reason = reason('backing-off', entry, { until: Date.now() + failedStartMs, detail: messageOf(error) })
    } finally {
      entry.launching = false
      this.#note(entry)
    }
  }

  settle(taskId: number): void {
    const entry = this.#entries.get(taskId)!
    entry.state = 'stopped'
    entry.reason = reason('stopped-by-wish', entry, asker(entry))
    this.#incidents?.stopped(entry)
    this.#note(entry)
  }

  stopping(taskId: number, because: Extract<Step, { do: 'stop' }>['because']): void {
    const entry = this.#entries.get(taskId)!
    entry.state = 'stopping'
    entry.reason = reason(because === 'reload' ? 'reloading' : 'stopping', entry, {
      detail: because,
      ...(because === 'wanted-down' ? asker(entry) : {}),
    })
    this.#note(entry)
  }

  ready(child: Child): void {
    const entry = this.#entries.get(child.ticket.taskId)
    if (entry?.child !== child || entry.state !== 'starting') return
    entry.state = 'running'
    this.#note(entry)
  }

  ended(child: Child, end: RunEnd): void {
    const entry = this.#entries.get(child.ticket.taskId)
    if (entry?.child !== child) return
    entry.child = null
    entry.reload = false
    afterLife(entry, end, child.ticket.startedAt, { now: performance.now(), wall: Date.now(), random: Math.random() })
    if (this.#leaving && entry.task.wanted === 'up') {
      entry.state = 'stopped'
      entry.reason = reason('interrupted', entry)
    }
    tellCrash(this.#log, child.ticket, end)
    if (entry.state === 'tripped') this.#log.warn(trippedSentence(entry))
    if (entry.state === 'tripped') this.#incidents?.tripped(entry, end)
    else if (entry.state === 'stopped' && entry.task.wanted === 'down') this.#incidents?.stopped(entry)
    this.#recorder.loopEnded(child.ticket.taskId, child.ticket.number, end)
    this.#note(entry)
  }

  /** Looks for loops that finished no iteration for longer than they said they would. */
  look(now: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.child) this.#launcher.learnWatch(entry.child)
      const stallChanged = noticeStall(entry, now)
      if (stallChanged) this.#tellStall(entry)
      const isHealthy = this.#incidents?.noticeHealth(entry) ?? false
      if (stallChanged || noticeSurvivors(entry) || isHealthy) this.#note(entry)
    }
  }

  /** @returns how many will be replaced, one after the other */
  reload(): number {
    return this.#reloads.add([...this.#entries.values()])
  }

  leave(): void {
    this.#leaving = true
    for (const entry of this.#entries.values()) {
      if (entry.child || entry.launching || entry.state === 'stopped') continue
      // The wait goes on in the next life: its end is in the row.
      if (entry.state === 'starting') {
        entry.state = 'stopped'
        this.#recorder.loopChanged(entry)
      }
    }
  }

  #tellStall(entry: LoopEntry): void {
    if (entry.stalled) this.#incidents?.stalled(entry)
    else this.#incidents?.goesOn(entry)
  }

  #entryFor(task: Task): LoopEntry {
    const entry = this.#entries.get(task.id) ?? newLoopEntry(task, performance.now())
    this.#entries.set(task.id, entry)
    return entry
  }

  #note(entry: LoopEntry): void {
    this.#recorder.loopChanged(entry)
    this.#changed()
  }
}

const trippedSentence = ({ task, reason, memory }: LoopEntry): string =>
  `loop ${task.id} (${task.action}) has tripped after ${memory.inARow} failures in a row${reason?.code === 'misconfigured' ? ', the last by exit code 78 (misconfigured)' : ''}; it is tried again at ${new Date(reason?.until ?? 0).toISOString()}`

const reason = (code: Reason['code'], entry: LoopEntry, more: Partial<Reason> = {}): Reason => ({
  code,
  at: Date.now(),
  number: entry.number,
  ...more,
})

// A wait that an earlier supervisor began goes on; its wall-clock end is only trusted as far as the rule could have set it.
const resumeWait = (entry: LoopEntry) => {
  if (entry.state !== 'backing-off' && entry.state !== 'tripped') return
  const leftMs = (entry.reason?.until ?? 0) - Date.now()
  entry.nextStartAt = performance.now() + Math.min(Math.max(0, leftMs), 2_000_000)
}

// Counted on the monotonic clock from what the beat says, so that a jump of the wall clock stalls nobody.
const noticeStall = (entry: LoopEntry, now: number): boolean => {
  const child = entry.child
  if (!child || child.stop || child.ticket.stallMs === null || !child.ready) return false
  const iterations = child.iterations
  if (iterations !== entry.progress.iterations) entry.progress = { iterations, at: now, busyMs: child.busyMs }
  const elapsedMs = now - entry.progress.at
  const isStalled = elapsedMs > child.ticket.stallMs
  if (isStalled === (entry.stalled !== null)) return false
  entry.stalled = isStalled ? stallKindOf(child.busyMs - entry.progress.busyMs, elapsedMs) : null
  entry.state = isStalled ? 'stalled' : 'running'
  entry.reason = entry.stalled ? reason('stalled', entry, { detail: entry.stalled }) : reason('started', entry)
  return true
}

const noticeSurvivors = (entry: LoopEntry): boolean => {
  if (!entry.child?.survivors.length || entry.reason?.code === 'survivors') return false
  entry.reason = reason('survivors', entry, {
    detail: entry.child.survivors
      .map(({ pid, command }) => `${pid} ${command}`)
      .join('; ')
      .slice(0, 500),
  })
  return true
}
