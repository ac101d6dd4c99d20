import type { Background } from '../api/background.ts'
import type { Db } from '../store/database.ts'
import type { ExecType, Json } from '../task/task.ts'
import type { CurrentRun } from './current-run.ts'
import type { Log } from './log.ts'

/** What `execute` is given. */
export interface Context<Params = Json> {
  /** As given with the task. */
  readonly params: Params
  readonly task: {
    readonly id: number
    /** Random public id. */
    readonly uid: string
    readonly action: string
    readonly type: string
    readonly creator: string
    readonly execType: ExecType
    /** Failed tries before this one. */
    readonly attempt: number
  }
  readonly run: {
    /** Grows at each start of the task: the fencing token. */
    readonly number: number
    /** Milliseconds since 1970. */
    readonly startedAt: number
  }
  /**
   * Aborts when the run is asked to stop. Hand it to fetch, timers and streams, or look at `signal.aborted` now and then.
   * A ONCE action that took it and returns nothing after a stop counts as interrupted; one that had finished its work says so by what it returns.
   */
  readonly signal: AbortSignal
  /** `log('text', { key: value })`, `log.warn`, `log.error`: one line each into the output. Whatever else is printed lands there too. */
  readonly log: Log
  /**
   * Hides a value of 6 characters or more wherever people see what this run prints or says: on pages, in the terminal, in downloads. Call it before
   * the value may be printed. Params under names like `password` or `apiKey` are hidden by themselves.
   * @returns the value, as in `const key = ctx.secret(await fetchKey())`
   */
  secret(value: string): string
  /** How far the run is; shown on the task's page at most once a second, so it may be called often. */
  progress(done: number, total?: number | null, note?: string | null): void
  /**
   * Declares a file that this run has made: it is listed on the page of the run, and who may read the task can download it. Call it when the file is
   * complete; calling it again for the same path tells what it has become. The newest 50 of a run are kept. The file stays where it is and yours:
   * bgtask copies nothing, and removes nothing but the listing.
   * @param name under which it is shown and downloaded. Default: that of the file
   * @throws when it is not there, is no file, cannot be read by this run, or is one of bgtask's own: of the runtime folder only what is below exports/ may be declared
   * @example ctx.artifact('/srv/reports/2026-11.csv', 'November.csv')
   */
  artifact(path: string, name?: string): void
  /** For loops that do not use execForeverInterval: says that one iteration is finished. */
  beat(): void
  /** The `addTask` of this package. */
  readonly addTask: Background['addTask']
  /** The database that the tasks lie in, opened at the first call, one per process. `withTables<…>()` adds tables of your own. */
  db(): Promise<Db['kysely']>
  /**
   * Within a transaction of `db()`: throws when a newer run of the task has begun, so that a run which was thought dead changes nothing.
   * Call it before you write; it holds the task's row until the transaction ends.
   */
  fence(trx: Db['kysely']): Promise<void>
}

export const createContext = (run: CurrentRun): Context => {
  const { ticket } = run
  const database = () => import('./database.ts')
  return {
    params: ticket.params,
    task: {
      id: ticket.taskId,
      uid: ticket.uid,
      action: ticket.action,
      type: ticket.type,
      creator: ticket.creator,
      execType: ticket.execType,
      attempt: ticket.attempt,
    },
    run: { number: ticket.number, startedAt: ticket.startedAt },
    get signal() {
      return run.stop.signal
    },
    log: run.log,
    secret: value => run.secrets.add(value),
    progress(done, total = null, note = null) {
      run.beats.progress(amount('done', done), total === null ? null : amount('total', total), note)
    },
    artifact(path, name) {
      run.artifacts.declare(path, name)
    },
    beat() {
      run.beats.iterationEnded()
    },
    addTask: async (...given) => (await (await database()).openRunBackground(run)).addTask(...given),
    async db() {
      return (await (await database()).openRunDatabase(run)).kysely
    },
    async fence(trx) {
      await (await database()).fence(run, trx)
    },
  }
}

const amount = (name: string, given: number) => {
  if (typeof given === 'number' && Number.isFinite(given)) return given
  throw new TypeError(`ctx.progress: ${name} is ${String(given)}; it must be a finite number, as in ctx.progress(50, 100, 'half').`)
}
