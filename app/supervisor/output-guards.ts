import { Worker } from 'node:worker_threads'
import { moduleEnding } from '../paths.ts'
import type { FloodOrder, FloodReport } from './flood-guard.ts'
import { type GuardedRun, OutputGuard } from './output-guard.ts'

/** Guards the output of all runs of this supervisor: the quiet ones here, those that flood in a thread that is there only then. */
export class OutputGuards {
  readonly #quiet = new Map<string, OutputGuard>()
  readonly #flooding = new Map<string, GuardedRun>()
  readonly #beyond = new Map<string, () => void>()
  readonly #trouble: (sentence: string) => void
  #thread: Worker | null = null

  constructor(trouble: (sentence: string) => void) {
    this.#trouble = trouble
  }

  /** @param beyond called once, when it has printed more than it may; until it is ended it is stopped */
  guard(run: GuardedRun, beyond: () => void): void {
    this.#beyond.set(run.folder, beyond)
    this.#quiet.set(run.folder, new OutputGuard(run, { trouble: this.#trouble, beyond, flooding: () => this.#handOver(run) }))
  }

  release(folder: string): void {
    this.#quiet.get(folder)?.close()
    this.#quiet.delete(folder)
    this.#beyond.delete(folder)
    if (!this.#flooding.delete(folder)) return
    this.#order({ release: folder })
    if (this.#flooding.size === 0) this.#endThread()
  }

  /** Lets all runs go on unguarded. */
  close(): void {
    for (const folder of [...this.#quiet.keys(), ...this.#flooding.keys()]) this.release(folder)
  }

  #handOver(run: GuardedRun): void {
    this.#quiet.delete(run.folder)
    this.#flooding.set(run.folder, run)
    this.#order({ guard: run })
  }

  #order(order: FloodOrder): void {
    if (!this.#thread) {
      this.#thread = new Worker(new URL(`./flood-guard${moduleEnding}`, import.meta.url), {
        resourceLimits: { maxYoungGenerationSizeMb: 2 },
      })
      this.#thread.unref()
      this.#thread.on('message', (report: FloodReport) => {
        if ('trouble' in report) this.#trouble(report.trouble)
        else this.#beyond.get(report.beyond)?.()
      })
      this.#thread.on('error', error => {
        this.#trouble(`the thread that guards floods has ended and is begun anew: ${error.message}`)
        this.#thread = null
        for (const run of this.#flooding.values()) this.#order({ guard: run })
      })
    }
    this.#thread.postMessage(order)
  }

  // Once its orders are carried out; a thread that is ended in the middle of one might leave a run stopped.
  #endThread(): void {
    const thread = this.#thread
    this.#thread = null
    thread?.postMessage('end' satisfies FloodOrder)
  }
}
