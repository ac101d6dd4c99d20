import { createReadStream, createWriteStream, type FSWatcher, statSync, watch } from 'node:fs'
import { rm, stat, truncate } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
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

/**
 * Keeps the output of one run within its limit: beyond it output.log becomes output.log.1, once. The run holds the file
 * itself, so it is copied and cut; meanwhile the run is stopped, so no line is lost and no flood outruns the copy.
 * An idle run costs nothing: the kernel tells when the file grows, and only then is it looked at in ever shorter steps.
 */
export class OutputGuard {
  readonly #paths: ReturnType<typeof runPaths>
  readonly #process: ProcessIdentity
  readonly #limitBytes: number
  readonly #trouble: (sentence: string) => void
  #watcher: FSWatcher | null = null
  #timer: NodeJS.Timeout | null = null
  #last = { size: 0, at: 0 }
  #closed = false

  constructor(folder: string, identity: ProcessIdentity, limitBytes: number, trouble: (sentence: string) => void) {
    this.#paths = runPaths(folder)
    this.#process = identity
    this.#limitBytes = limitBytes
    this.#trouble = trouble
    void this.#look()
  }

  close(): void {
    this.#closed = true
    this.#watcher?.close()
    if (this.#timer) clearTimeout(this.#timer)
  }

  async #look(): Promise<void> {
    if (this.#closed) return
    try {
      const { size } = await stat(this.#paths.output)
      if (this.#closed) return
      const now = performance.now()
      const bytesPerMs = Math.max(0, size - this.#last.size) / Math.max(1, now - this.#last.at)
      const headroomBytes = Math.min(this.#limitBytes * mostHeadroomShare, bytesPerMs * latenessMs)
      const rotateAtBytes = this.#limitBytes * rotateAtShare - headroomBytes
      this.#last = { size, at: now }
      if (size > rotateAtBytes) await this.#rotate(Math.floor(this.#limitBytes - headroomBytes))
      else if (bytesPerMs === 0) return this.#wait()
      const leftMs = size > rotateAtBytes ? 0 : (rotateAtBytes - size) / bytesPerMs
      this.#timer = setTimeout(() => void this.#look(), Math.min(calmAfterMs, Math.max(hotLookMs, leftMs / 4)))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return // pruned, or removed by hand: nothing is left to guard
      this.#trouble(`The output ${this.#paths.output} could not be rotated: ${(error as Error).message}`)
      this.#timer = setTimeout(() => void this.#look(), calmAfterMs)
    }
  }

  #wait(): void {
    this.#watcher = watch(this.#paths.output, () => {
      this.#watcher?.close()
      this.#watcher = null
      this.#last.at = performance.now()
      // A short while, so that a burst shows its speed.
      this.#timer = setTimeout(() => void this.#look(), hotLookMs)
    })
    this.#watcher.on('error', error => this.#trouble(`${this.#paths.output} cannot be watched: ${error.message}`))
    // What it wrote between the last look and the watch came unannounced.
    if (statSync(this.#paths.output).size !== this.#last.size) {
      this.#watcher.close()
      this.#timer = setTimeout(() => void this.#look(), hotLookMs)
    }
  }

  async #rotate(keepBytes: number): Promise<void> {
    const stoppedBefore = readStat(this.#process.pid)?.state === 'T'
    signalGroup(this.#process, 'SIGSTOP')
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
      // Cut in any case: on a full disk an output without its older part is better than none that grows.
      await truncate(this.#paths.output, 0)
      if (!stoppedBefore) signalGroup(this.#process, 'SIGCONT')
    }
    this.#last = { size: 0, at: performance.now() }
  }
}
