import type { Limits } from '../task/limits.ts'
import type { ResidentOptions } from '../task/resident-options.ts'
import type { ExecType } from '../task/task.ts'
import { type Sentence, told } from '../task/told.ts'

/** What a file says of one of its actions. */
export interface ActionDescription {
  /** `execute`, or `default` for `export default defineAction(…)`: the file is one action. Any other: it is one of several. */
  exportName: string
  /** Why it does not load; null when it does. */
  error: Sentence | null
  description: string | null
  /** JSON schema of the params; null: anything goes. */
  paramsSchema: object | null
  isolation: 'process' | 'resident'
  /** null: each of its runs has a process of its own. */
  resident: ResidentOptions | null
  timeoutMs: number | null
  graceMs: number | null
  stallMs: number | null
  stallRestart: boolean
  maxAttempts: number | null
  /** What the form suggests. */
  execType: ExecType | null
  /** null: it asks for none. */
  limits: Limits | null
}

/** What a file says of itself. */
export interface FileDescription {
  /** Why it does not load as a whole; null when it does. */
  error: string | null
  /** At least one, unless there is an error. */
  actions: ActionDescription[]
}

/** One action of the map. */
export interface ActionEntry extends ActionDescription {
  /** `report/build` */
  name: string
  /** Absolute path. */
  file: string
  /** Two files give this name, so neither is run. `error` says which. */
  isAmbiguous: boolean
}

/** A file, or a folder, of which something can be no action; or an export of it. */
export interface RefusedFile {
  /** Absolute path. */
  file: string
  /** What is wrong with it, as in `report.ts …`, without a full stop. */
  why: Sentence
  /** A whole folder that cannot be read. */
  isFolder: boolean
}

export const notLoaded = (error: Sentence, exportName = 'execute'): ActionDescription => ({
  exportName,
  error,
  description: null,
  paramsSchema: null,
  isolation: 'process',
  resident: null,
  timeoutMs: null,
  graceMs: null,
  stallMs: null,
  stallRestart: false,
  maxAttempts: null,
  execType: null,
  limits: null,
})

/** Why an action cannot be run, in words that can follow its name. */
export const faultOf = ({ error, isAmbiguous }: Pick<ActionEntry, 'error' | 'isAmbiguous'>): Sentence =>
  isAmbiguous ? told`is not run: ${error ?? ''}` : told`does not load: ${error ?? ''}`
