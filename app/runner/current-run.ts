import type { Ticket } from '../runs/ticket.ts'
import type { Artifacts } from './artifacts.ts'
import { type BeatWriter, createBeatWriter } from './beat-writer.ts'
import { createLog, type Log } from './log.ts'
import { createSecrets, type Secrets } from './secrets.ts'
import { createStop, type Stop } from './stop.ts'

/** The run that this process is. */
export interface CurrentRun {
  readonly ticket: Ticket
  readonly stop: Stop
  readonly beats: BeatWriter
  readonly log: Log
  readonly secrets: Secrets
  readonly artifacts: Artifacts
  /** A loop ends after so many iterations, as if it were asked to: set for a look by hand. */
  readonly iterationLimit: number | null
  /** Where `ctx.db()` and `ctx.addTask` find the database; null: in the file that the supervisor wrote. */
  readonly databaseUrl: string | null
  /** execForeverInterval came to its end because of the stop. */
  loopStopped: boolean
  /** Why the loop asked for a fresh process; null when it did not. */
  readonly recycled: string | null
  /** Asked once `recycled` is set: the other loops of the run end too. */
  readonly recycling: Stop
  /** Only the first reason counts. */
  recycle(why: string): void
}

/** The one run of this process. */
export const beginRun = (ticket: Ticket, places: RunPlaces = {}): CurrentRun => {
  const run = makeRun(ticket, places)
  holder[key] = () => run
  return run
}

/** For a process that has several runs at once: whoever asks for the current one gets what this finds. */
export const findRunBy = (find: () => CurrentRun | undefined): void => {
  holder[key] = find
}

export interface RunPlaces {
  /** Path or descriptor of beat.json, or what makes the place for it; null: the beat is kept and not written. */
  beatPath?: string | number | null | (() => string)
  /** The same of secrets.jsonl; null: nobody shows the output but the terminal. */
  secretsPath?: string | number | null | (() => string)
  /** The same of artifacts.json; null: what is declared is only said. */
  artifactsPath?: string | number | null | (() => string)
  iterationLimit?: number | null
  databaseUrl?: string | null
}

export const makeRun = (
  ticket: Ticket,
  { beatPath = null, secretsPath = null, artifactsPath = null, iterationLimit = null, databaseUrl = null }: RunPlaces = {},
): CurrentRun => {
  let recycled: string | null = null
  const recycling = createStop()
  const log = createLog()
  const run: CurrentRun = {
    ticket,
    stop: createStop(),
    beats: createBeatWriter(beatPath),
    log,
    secrets: createSecrets(secretsPath, log.warn),
    artifacts: artifactsAt(artifactsPath),
    iterationLimit,
    databaseUrl,
    loopStopped: false,
    get recycled() {
      return recycled
    },
    recycling,
    recycle(why) {
      recycled ??= why
      recycling.ask('interrupted')
    },
  }
  return run
}

/** Loaded when the first file is declared, and at once, since that is no promise: most runs declare none, and each module costs every run. */
const artifactsAt = (place: string | number | null | (() => string)): Artifacts => {
  let made: Artifacts | undefined
  return {
    declare(path, name) {
      const require = process.getBuiltinModule('node:module').createRequire(import.meta.url)
      made ??= (
        require(`./artifacts.${import.meta.filename.endsWith('.ts') ? 'ts' : 'js'}`) as typeof import('./artifacts.ts')
      ).createArtifacts(typeof place === 'function' ? place() : place)
      made.declare(path, name)
    },
  }
}

/** @returns null outside of a run, as in a script or a controller */
export const currentRun = (): CurrentRun | null => holder[key]?.() ?? null

// On the global object: an action may have found another copy of this package than the one that runs it.
const key = Symbol.for('bgtask.run')
const holder = globalThis as { [key]?: () => CurrentRun | undefined }
