import { messageOf } from '../errors.ts'
import { type Beat, readBeat } from '../runs/beat.ts'
import type { SecretConfig } from '../runs/known-secrets.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import type { Ticket } from '../runs/ticket.ts'
import type { Db } from '../store/database.ts'
import { noteThrownErrors, type ThrownInRun } from '../store/loop-errors.ts'
import { runName } from '../task/run.ts'

/** Kept while the database is away, each with what its iterations have thrown until then. */
const mostRuns = 2_000

/** What iterations of loops threw that went on: told by their beats, written once a minute, as far as it is new. */
export class ThrownErrors {
  readonly #config: SecretConfig
  readonly #trouble: (sentence: string) => void
  readonly #written = new WeakMap<object, number>()
  readonly #unwritten = new Map<string, ThrownInRun>()

  constructor(config: SecretConfig, trouble: (sentence: string) => void) {
    this.#config = config
    this.#trouble = trouble
  }

  /** @param run known by its identity: what it told before is not told again */
  note(run: { folder: string; ticket: Pick<Ticket, 'taskId' | 'number' | 'params'> }, beat: Pick<Beat, 'errors' | 'thrown'> | null): void {
    if (!beat?.thrown?.length || this.#written.get(run) === beat.errors) return
    const { taskId, number, params } = run.ticket
    try {
      // The row outlives the folder, in which the secrets of the run are listed.
      const redactor = redactionOf(this.#config).ofRun(run.folder, params)
      const errors = beat.thrown.map(error => ({ ...error, sample: redactor.text(error.sample) }))
      this.#unwritten.set(runName(taskId, number), { taskId, number, errors })
      this.#written.set(run, beat.errors)
    } catch (error) {
      this.#trouble(`run ${runName(taskId, number)}: what its iterations threw is not kept: ${messageOf(error)}`)
    }
    for (const name of this.#unwritten.keys()) if (this.#unwritten.size > mostRuns) this.#unwritten.delete(name)
  }

  /** It ended while nobody watched. */
  foundEnded(ticket: Pick<Ticket, 'taskId' | 'number' | 'params'>): void {
    const name = runName(ticket.taskId, ticket.number)
    const { folder, beat } = runtimePaths(this.#config.runtime).run(name)
    try {
      this.note({ folder, ticket }, readBeat(beat))
    } catch (error) {
      this.#trouble(`run ${name}: reading its beat failed: ${messageOf(error)}`)
    }
  }

  /** @throws what the database threw; what is not written is kept */
  async flush(db: Db): Promise<void> {
    const runs = [...this.#unwritten]
    await noteThrownErrors(
      db,
      runs.map(([, run]) => run),
    )
    for (const [name, run] of runs) if (this.#unwritten.get(name) === run) this.#unwritten.delete(name)
  }
}
