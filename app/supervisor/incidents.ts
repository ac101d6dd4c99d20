import { join } from 'node:path'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { lastLines } from '../runs/last-lines.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { redactionOf } from '../runs/redaction.ts'
import type { OnceFailed } from '../store/end-once.ts'
import type { Closing, Opening } from '../store/note-incidents.ts'
import type { ClosedHow, IncidentKind } from '../task/incident.ts'
import type { Notify } from '../task/notify.ts'
import { areForgiven, restartPolicy } from '../task/restart-policy.ts'
import { runName } from '../task/run.ts'
import type { Task } from '../task/task.ts'
import type { Child } from './child.ts'
import type { LoopEntry } from './loop-entry.ts'

type Change = Opening | Closing

/**
 * What people should hear of, as the supervisor comes to know it: kept until it is written, in the transaction that records the state it
 * belongs to. There is none of these where no notification is set.
 */
export class Incidents {
  readonly notify: Notify
  readonly #config: Config
  readonly #host: string
  #changes: (Change & { taskId: number })[] = []
  readonly #healthy = new WeakSet<Child>()
  /** Loops of which somebody waits to hear that they have recovered. */
  readonly #troubled = new Set<number>()

  constructor(config: Config, notify: Notify, host: string) {
    this.#config = config
    this.notify = notify
    this.#host = host
  }

  tripped(entry: LoopEntry, end: RunEnd): void {
    this.#open('tripped', entry, { ...end, recycled: end.recycled ?? false })
    // It has no process any more that could stall.
    this.#close('stalled', entry, 'passed')
  }

  stalled(entry: LoopEntry): void {
    this.#open('stalled', entry, null)
  }

  goesOn(entry: LoopEntry): void {
    this.#close('stalled', entry, 'recovered')
  }

  /** Somebody has it in hand. */
  stopped(entry: LoopEntry): void {
    this.#troubled.delete(entry.task.id)
    for (const kind of loopKinds) this.#close(kind, entry, 'stopped')
  }

  /** Looks whether a loop has come to be healthy, and its failures are forgiven. @returns true once in each life */
  noticeHealth(entry: LoopEntry): boolean {
    const { child } = entry
    if (!child || child.stop || entry.stalled || this.#healthy.has(child)) return false
    const isHealthy =
      Date.now() - child.ticket.startedAt >= restartPolicy.healthyMs ||
      // Its beat is only read while somebody waits for it to recover.
      ((entry.memory.probes > 0 || this.#troubled.has(entry.task.id)) && child.iterations >= restartPolicy.healthyIterations)
    if (!isHealthy || !areForgiven(entry.memory, Date.now())) return false
    this.#healthy.add(child)
    this.#troubled.delete(entry.task.id)
    for (const kind of loopKinds) this.#close(kind, entry, 'recovered')
    return true
  }

  /** What waits of these loops; `written` forgets it. */
  waiting(taskIds: ReadonlySet<number>): { changes: readonly Change[]; written: () => void } {
    const changes = this.#changes.filter(change => taskIds.has(change.taskId))
    return {
      changes,
      written: () => {
        this.#changes = this.#changes.filter(change => !changes.includes(change))
      },
    }
  }

  /** ONCE tasks that have failed for good, by their error. */
  failed(failed: readonly OnceFailed[]): Opening[] {
    return [...Map.groupBy(failed, one => one.key).values()].map(same => {
      const { task, end, key } = same.at(-1)!
      return {
        do: 'open',
        kind: 'failed',
        of: key,
        at: end.endedAt,
        taskId: task.id,
        number: task.number,
        action: task.action,
        host: this.#host,
        facts: { task: { ...task, params: null }, lastRun: { ...told(end), recycled: false } },
        lines: () => this.#lines(task, task.number),
        count: same.length,
      }
    })
  }

  #open(kind: IncidentKind, entry: LoopEntry, end: (RunEnd & { recycled: boolean }) | null): void {
    this.#troubled.add(entry.task.id)
    const { task, state, reason, number, content, startedAt, finishedAt } = entry
    const stands = { ...task, params: null, state, reason, number, content, startedAt, finishedAt, runAt: reason?.until ?? task.runAt }
    this.#add({
      do: 'open',
      kind,
      of: task.id,
      at: reason?.at ?? Date.now(),
      taskId: task.id,
      number,
      action: task.action,
      host: this.#host,
      facts: { task: stands, lastRun: end && { ...told(end), recycled: end.recycled } },
      lines: () => this.#lines(task, number),
    })
  }

  #close(kind: IncidentKind, { task }: LoopEntry, how: ClosedHow): void {
    this.#add({ do: 'close', kind, of: task.id, at: Date.now(), how, taskId: task.id })
  }

  // While the database is away a loop may trip again and again: then the newest is as good as all.
  #add(change: Change & { taskId: number | null }): void {
    const isSame = (other: Change) => other.do === change.do && other.kind === change.kind && other.of === change.of
    const last = this.#changes.findLast(other => other.kind === change.kind && other.of === change.of)
    if (last && isSame(last)) this.#changes = this.#changes.filter(other => other !== last)
    this.#changes.push(change as Change & { taskId: number })
  }

  /** Redacted here, where all secrets are known; who tells it knows only those that it needs. */
  #lines({ id, params }: Pick<Task, 'id' | 'params'>, number: number): string | null {
    const folder = join(this.#config.runtime, 'runs', runName(id, number))
    try {
      return lastLines(folder, () => redactionOf(this.#config).ofRun(folder, params)) || null
    } catch (error) {
      return `(${messageOf(error)})`
    }
  }
}

const loopKinds = ['tripped', 'stalled'] as const

const told = ({ kind, exitCode, signal, error, content, endedAt, iterations, facts }: RunEnd) => ({
  outcome: kind,
  exitCode,
  signal,
  error: error?.slice(0, 4_000) ?? null,
  content: content?.slice(0, 4_000) ?? null,
  endedAt,
  iterations,
  endFacts: facts ?? null,
})
