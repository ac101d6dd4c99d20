import type { Sentence } from '../task/told.ts'
import type { Role } from './command-role.ts'
import type { Template } from './template.ts'

/** What may be run: an entry of the commands file that holds. Nothing in it comes from a request. */
export interface Command {
  name: string
  description: string | null
  /** Absolute path. */
  executable: string
  /** One for each argument. */
  templates: readonly Template[]
  parameters: ReadonlyMap<string, Parameter>
  /** Absolute path. */
  cwd: string
  /** What stands in its environment besides the fixed variables. */
  env: Readonly<Record<string, string>>
  /** null: our own user. */
  runAs: string | null
  role: Role
  timeoutMs: number
  graceMs: number
  /** It is ended when it prints more; null: its output is only rotated. */
  outputBytes: number | null
  rerunAfterCrash: boolean
}

/** A value that a person or a program may choose, within these bounds. */
export type Parameter = {
  name: string
  title: string | null
  description: string | null
  /** Used when none is given; undefined: one must be given. */
  default: Value | undefined
} & (
  | { kind: 'choice'; values: readonly string[] }
  | { kind: 'whole'; least: number; most: number }
  | { kind: 'text'; pattern: string; longest: number }
  | { kind: 'flag'; flag: string }
)

export type Value = string | number | boolean

/** A name that is in the file, and why it cannot be run. */
export interface BrokenCommand {
  name: string
  /** Begins with the name of the command and ends with a full stop. */
  sentence: Sentence
}
