import { createReadStream, createWriteStream, existsSync, type FSWatcher, rmSync, statSync, watch, writeFileSync } from 'node:fs'
import { rm, stat, truncate } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { goneBytes, writeGoneBytes } from '../runs/printed-bytes.ts'
import { type ProcessIdentity, readStat } from '../runs/process-identity.ts'
import { runPaths } from '../runs/runtime-folder.ts'
import { signalGroup } from './signal-run.ts'

/** How late a look may come on a busy machine. What a run can write meanwhile is kept free, up to this share of the limit. */
const latenessMs = 60
const mostHeadroomShare = 0.75
/** Also a slow run is rotated a little before the limit. */
const rotateAtShare = 0.95
const hotLookMs = 3
const calmAfterMs = 1_000

/** Faster than this (1 MB a second) a run floods. */
const floodBytesPerMs = 1_000

export interface GuardedRun {
  folder: string
  identity: ProcessIdentity
  limitBytes: number
  /** Printing more ends it; null: printing as much as it likes. */
  killAtBytes: number | null
}

export interface GuardEvents {
  trouble(sentence: string): void
  /** It has printed more than it may, and is stopped. Told once; whoever hears it ends it. */
  beyond(): void
  /**
   * Told once when it writes so much that it should be guarded by somebody who is never late; then it is left to that one, stopped:
   * a new guard of it lets it go on.
   */
  flooding?(): void
}

/**
 * Keeps the output of one run within its limit: beyond it output.log becomes output.log.1, once. The run holds the file
 * itself, so it is copied and cut; meanwhile the run is stopped, so no line is lost and no flood outruns the copy.
 * A silent run costs nothing and a line costs one look: the kernel tells when the file grows. One that writes all the time
 * is looked at by the clock instead, the sooner the faster it writes.
 */
export class OutputGuard {
  readonly #paths: ReturnType<typeof runPaths>
  readonly #process: ProcessIdentity
  readonly #limitBytes: number
  readonly #killAtBytes: number
  readonly #on: GuardEvents
  #watcher: FSWatcher | null = null
  #timer: NodeJS.Timeout | null = null
  #last = { size: 0, at: 0 }
  #closed = false
  #rotating = false
  /** Printed before what lies in output.log now. */
  #goneBytes = 0

  constructor(run: GuardedRun, on: GuardEvents) {
    this.#paths = runPaths(run.folder)
    this.#process = run.identity
    this.#limitBytes = run.limitBytes
    this.#killAtBytes = run.killAtBytes ?? Number.POSITIVE_INFINITY
    this.#on = on
    // Whoever guarded it before has left it stopped: he died while he rotated its output, or handed it over.
    if (existsSync(this.#paths.rotating)) this.#endRotation({ goOn: true })
    this.#tryIt(() => {
      this.#goneBytes = goneBytes(run.folder)
      this.#watch()
    })
  }

  close(): void {
    this.#closed = true
    if (this.#rotating) this.#endRotation({ goOn: true })
    this.#watcher?.close()
    if (this.#timer) clearTimeout(this.#timer)
  }

  #watch(): void {
    const { size } = statSync(this.#paths.output)
    this.#last = { size, at: performance.now() }
    if (this.#isBeyond(size)) return
    this.#watcher = this.#tryWatch(() => {
      const busy = performance.now() - this.#last.at < calmAfterMs
      if (!busy) {
        void this.#tryIt(() => this.#measure())
        return
      }
      this.#watcher?.close()
      this.#watcher = null
      this.#timer ??= setTimeout(() => this.#tryIt(() => this.#look()), hotLookMs)
    })
    if (!this.#watcher) {
      this.#timer ??= setTimeout(() => this.#tryIt(() => this.#look()), calmAfterMs)
      return
    }
    // What was written before the watch began came unannounced.
    if (statSync(this.#paths.output).size !== size || size > this.#rotateAtBytes(0))
      this.#timer ??= setTimeout(() => this.#tryIt(() => this.#look()), hotLookMs)
  }

  /** @returns null when the kernel has no watch left to give: then the clock has to do */
  #tryWatch(changed: () => void): FSWatcher | null {
    try {
      return watch(this.#paths.output, changed).on('error', error =>
        this.#on.trouble(`${this.#paths.output} is watched no more: ${error.message}`),
      )
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOSPC' || code === 'EMFILE') return null
      throw error
    }
  }

  /** @returns how fast it has grown since the last look */
  #measure(): { size: number; bytesPerMs: number } {
    const { size } = statSync(this.#paths.output)
    const now = performance.now()
    const bytesPerMs = Math.max(0, size - this.#last.size) / Math.max(1, now - this.#last.at)
    this.#last = { size, at: now }
    this.#isBeyond(size)
    return { size, bytesPerMs }
  }

  async #look(): Promise<void> {
    this.#timer = null
    const { size, bytesPerMs } = this.#measure()
    if (this.#closed) return
    if (this.#on.flooding && bytesPerMs > floodBytesPerMs) {
      // Until a thread has begun, such a run writes a hundred megabytes.
      if (!this.#isStopped()) this.#hold()
      this.close()
      this.#on.flooding()
      return
    }
    const rotateAtBytes = this.#rotateAtBytes(bytesPerMs)
    if (size > rotateAtBytes) await this.#rotate(Math.floor(this.#limitBytes - this.#headroomBytes(bytesPerMs)))
    if (this.#closed) return
    if (bytesPerMs === 0 && size <= rotateAtBytes) {
      if (!this.#watcher) this.#watch()
      return
    }
    const leftMs = size > rotateAtBytes ? 0 : (rotateAtBytes - size) / bytesPerMs
    this.#timer = setTimeout(() => this.#tryIt(() => this.#look()), Math.min(calmAfterMs, Math.max(hotLookMs, leftMs / 4)))
  }

  #isBeyond(size: number): boolean {
    if (this.#goneBytes + size <= this.#killAtBytes) return false
    this.close()
    signalGroup(this.#process, 'SIGSTOP')
    this.#on.beyond()
    return true
  }

  #isStopped(): boolean {
    return readStat(this.#process.pid)?.state === 'T'
  }

  /** Stops the run for a moment. Should we die meanwhile, the next guard sees by the file that it is to go on. */
  #hold(): void {
    writeFileSync(this.#paths.rotating, '', { mode: 0o600 })
    signalGroup(this.#process, 'SIGSTOP')
  }

  #endRotation({ goOn }: { goOn: boolean }): void {
    this.#rotating = false
    if (goOn) signalGroup(this.#process, 'SIGCONT')
    rmSync(this.#paths.rotating, { force: true })
  }

  #headroomBytes(bytesPerMs: number): number {
    return Math.min(this.#limitBytes * mostHeadroomShare, bytesPerMs * latenessMs)
  }
  #rotateAtBytes(bytesPerMs: number): number {
    return this.#limitBytes * rotateAtShare - this.#headroomBytes(bytesPerMs)
  }

  async #tryIt(work: () => unknown): Promise<void> {
    if (this.#closed) return
    try {
      await work()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return // pruned, or removed by hand: nothing is left to guard
      this.#on.trouble(`The output ${this.#paths.output} could not be guarded: ${(error as Error).message}`)
      this.#timer ??= setTimeout(() => this.#tryIt(() => this.#look()), calmAfterMs)
    }
  }

  async #rotate(keepBytes: number): Promise<void> {
    const stoppedBefore = this.#isStopped()
    this.#hold()
    this.#rotating = true
    try {
      // The older part goes first: all three together would be three times the limit.
      await rm(this.#paths.rotatedOutput, { force: true })
      const { size } = await stat(this.#paths.output)
      // A flood may have run past the limit between two looks: what is kept never does.
      const start = Math.max(0, size - keepBytes)
      await pipeline(
        createReadStream(this.#paths.output, { start, highWaterMark: 1 << 20 }),
        createWriteStream(this.#paths.rotatedOutput, { mode: 0o600 }),
      )
    } finally {
      try {
        // Cut in any case: on a full disk an output without its older part is better than none that grows.
        const { size } = await stat(this.#paths.output)
        await truncate(this.#paths.output, 0)
        this.#goneBytes += size
        writeGoneBytes(this.#paths.folder, this.#goneBytes)
      } finally {
        // Whoever closed us meanwhile has ended it already.
        if (this.#rotating) this.#endRotation({ goOn: !stoppedBefore })
      }
    }
    this.#last = { size: 0, at: performance.now() }
  }
}
