import { messageOf } from '../errors.ts'
import { type Beat, type BeatMinute, readBeat } from '../runs/beat.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { printedBytes } from '../runs/printed-bytes.ts'
import { processUse } from '../runs/process-use.ts'
import { runPaths } from '../runs/runtime-folder.ts'
import type { Db } from '../store/database.ts'
import { insertSamples, rollUpSamples } from '../store/samples.ts'
import { addDurations } from '../task/durations.ts'
import { emptySample, type Sample, spanAt } from '../task/sample.ts'
import type { Child } from './child.ts'

/** A minute is looked at so long after its end: by then each runner, which writes once a second, has written what it did in it, also on a busy machine. */
export const sampleAfterMs = 3_000
const minuteMs = 60_000
/** Kept while the database is away: as much as the chart of an hour shows, and not without end. */
const mostUnwritten = 100_000

/** How far the figures of a process had come. */
interface Mark {
  cpuMs: number
  outputBytes: number
}

/** Gathers once a minute what each loop of this host did in it. Nothing is looked at in between but runs that end. */
export class Sampler {
  readonly #children: () => readonly Child[]
  readonly #trouble: (sentence: string) => void
  readonly #read: (child: Child, beat: Beat | null) => void
  readonly #marks = new WeakMap<Child, Mark>()
  /** What runs that have ended did in the minute of their end and the one before. */
  #ended: Sample[] = []
  #gatheredAt = 0
  #unwritten: Sample[] = []
  #rolledUpAt = 0

  /**
   * @param children the live runs of loops
   * @param read told of each beat that is read: once a minute, and at the end of a run
   */
  constructor(
    children: () => readonly Child[],
    trouble: (sentence: string) => void,
    read: (child: Child, beat: Beat | null) => void = () => undefined,
  ) {
    this.#children = children
    this.#trouble = trouble
    this.#read = read
  }

  /** What it used since its last sample is not known any more, and is in none; what it did is, since it says so itself. */
  adopted(child: Child): void {
    this.#marks.set(child, this.#look(child))
  }

  /** It is not among the children any more; its folder is read for the last time. @param end what is known of its CPU time in all */
  ended(child: Child, end: Pick<RunEnd, 'cpuMs' | 'peakMemoryBytes'>, now = Date.now()): void {
    const under = spanAt(now, minuteMs)
    const minutes = this.#minutes(child)
    for (const at of [under - minuteMs, under]) {
      if (at <= this.#gatheredAt) continue
      const sample = emptySample(child.ticket.taskId, at, minuteMs)
      addMinute(sample, minutes.get(at))
      if (at === under) this.#addUsage(sample, child, end.cpuMs)
      // A process that is gone has no memory to be measured; of a life that is not longer than the minute the most that it took is that of the minute.
      if (at === under && child.ticket.startedAt >= under) sample.memoryBytes ??= end.peakMemoryBytes
      this.#ended.push(sample)
    }
  }

  /** Puts together the minute before the one under way. @param now milliseconds since 1970 */
  gather(now: number): void {
    const at = spanAt(now, minuteMs) - minuteMs
    // Called twice, or the clock was set back: what is known of that time stays as it is.
    if (at <= this.#gatheredAt) return
    this.#gatheredAt = at
    const samples = new Map<number, Sample>()
    const of = (taskId: number) => {
      const sample = samples.get(taskId) ?? emptySample(taskId, at, minuteMs)
      samples.set(taskId, sample)
      return sample
    }
    for (const ended of this.#ended) if (ended.at === at) addEnded(of(ended.taskId), ended)
    this.#ended = this.#ended.filter(ended => ended.at > at)
    for (const child of this.#children()) {
      const sample = of(child.ticket.taskId)
      addMinute(sample, this.#minutes(child).get(at))
      this.#addUsage(sample, child)
    }
    this.#unwritten.push(...samples.values())
    this.#unwritten = this.#unwritten.slice(-mostUnwritten)
  }

  /** @throws what the database threw; what is not written is kept */
  async flush(db: Db, now: number, loopIds: readonly number[]): Promise<void> {
    const samples = this.#unwritten
    if (samples.length) await insertSamples(db, samples)
    const written = new Set(samples)
    this.#unwritten = this.#unwritten.filter(sample => !written.has(sample))
    const due = spanAt(now, 600_000)
    if (this.#rolledUpAt === due) return
    await rollUpSamples(db, loopIds, now)
    this.#rolledUpAt = due
  }

  #addUsage(sample: Sample, child: Child, endedWithCpuMs: number | null = null): void {
    const before = this.#marks.get(child) ?? atStart
    const after = this.#look(child, endedWithCpuMs)
    sample.cpuMs += Math.max(0, after.cpuMs - before.cpuMs)
    sample.outputBytes += Math.max(0, after.outputBytes - before.outputBytes)
    if (after.memoryBytes !== null) sample.memoryBytes = Math.max(sample.memoryBytes ?? 0, after.memoryBytes)
    this.#marks.set(child, after)
  }

  /** What cannot be read is as it was: a full disk must not keep the other loops from being looked at. */
  #look(child: Child, endedWithCpuMs: number | null = null): Mark & { memoryBytes: number | null } {
    const before = this.#marks.get(child) ?? atStart
    const tryTo = <T>(what: string, work: () => T): T | undefined => {
      try {
        return work()
      } catch (error) {
        this.#trouble(`run ${child.ticket.taskId}-${child.ticket.number}: ${what} failed: ${messageOf(error)}`)
        return undefined
      }
    }
    const use = tryTo('measuring its process', () => processUse(child.identity))
    return {
      // /proc forgets a process with its end; then what it said itself counts, or the last look.
      cpuMs: Math.max(before.cpuMs, use?.cpuMs ?? endedWithCpuMs ?? child.usage?.cpuMs ?? 0),
      outputBytes: tryTo('measuring its output', () => printedBytes(child.folder)) ?? before.outputBytes,
      memoryBytes: use?.memoryBytes ?? null,
    }
  }

  #minutes(child: Child): Map<number, BeatMinute> {
    try {
      const beat = readBeat(runPaths(child.folder).beat)
      this.#read(child, beat)
      return new Map((beat?.minutes ?? []).map(minute => [minute.at, minute]))
    } catch (error) {
      this.#trouble(`run ${child.ticket.taskId}-${child.ticket.number}: reading its beat failed: ${messageOf(error)}`)
      return new Map()
    }
  }
}

const atStart: Mark = { cpuMs: 0, outputBytes: 0 }

const addMinute = (sample: Sample, minute: BeatMinute | undefined): void => {
  if (!minute) return
  sample.iterations += minute.iterations
  sample.errors += minute.errors
  addDurations(sample.durations, minute.durations)
}

const addEnded = (sample: Sample, ended: Sample): void => {
  addMinute(sample, ended)
  sample.cpuMs += ended.cpuMs
  sample.outputBytes += ended.outputBytes
  if (ended.memoryBytes !== null) sample.memoryBytes = Math.max(sample.memoryBytes ?? 0, ended.memoryBytes)
}
