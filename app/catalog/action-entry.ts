import type { Limits } from '../task/limits.ts'
import type { ExecType } from '../task/task.ts'

/** What a file says of its action. */
export interface ActionDescription {
  /** `execute`, or `default` for `export default defineAction(…)`. */
  exportName: string
  /** Why it does not load; null when it does. */
  error: string | null
  description: string | null
  /** JSON schema of the params; null: anything goes. */
  paramsSchema: object | null
  isolation: string
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

/** One action of the map. */
export interface ActionEntry extends ActionDescription {
  /** `report/build` */
  name: string
  /** Absolute path. */
  file: string
}

export const notLoaded = (error: string): ActionDescription => ({
  exportName: 'execute',
  error,
  description: null,
  paramsSchema: null,
  isolation: 'process',
  timeoutMs: null,
  graceMs: null,
  stallMs: null,
  stallRestart: false,
  maxAttempts: null,
  execType: null,
  limits: null,
})
