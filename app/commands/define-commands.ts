import type { Role } from './command-role.ts'

/** An entry of the commands file, as it is written there. JSON can say all of it. */
export interface CommandDefinition {
  /** One sentence for the page. */
  description?: string
  /** Absolute path of a program. There is no shell: neither PATH nor `*`, `;`, `$` or quotes mean anything. */
  executable: string
  /** One text for each argument; `{name}` stands for the value of a parameter, `{{` and `}}` for braces. Default: none. */
  arguments?: readonly string[]
  /** By name. Each is used in an argument. */
  parameters?: Readonly<Record<string, ParameterDefinition>>
  /** Absolute path of the folder it is run in. Default `/`. */
  cwd?: string
  /** Its environment, besides PATH, HOME, LANG and TZ; nothing of ours is handed on. */
  env?: Readonly<Record<string, string>>
  /** Runs as another user: `name`, `uid`, `name:group` or `uid:gid`. Needs a supervisor that is root. */
  runAs?: string
  /** The least role of a person who may run it. Default `operator`. */
  role?: Role
  /** It is stopped after so long. Default 600,000 (10 min). */
  timeoutMs?: number
  /** Between asking it to stop and making it. Default 10,000. */
  graceMs?: number
  /** It is ended when it prints more. Default: its output is only rotated. */
  outputBytes?: number
  /** It may be run again by itself when a run died or was interrupted. Default false. */
  rerunAfterCrash?: boolean
}

/** JSON schema, of which this much is understood. Without a default a value must be given. */
export type ParameterDefinition = { title?: string; description?: string } & (
  | { enum: readonly string[]; default?: string }
  | { type: 'integer'; minimum: number; maximum: number; default?: number }
  /** The pattern begins with ^ and ends with $. */
  | { type: 'string'; pattern: string; maxLength?: number; default?: string }
  /** When true, the flag stands where `{name}` stands alone; else that argument is left out. */
  | { type: 'boolean'; flag: string; default?: boolean }
)

/**
 * Gives the commands file its types; nothing else happens.
 * @example
 * export default defineCommands({
 *   'clear-cache': { executable: '/usr/bin/redis-cli', arguments: ['-n', '{database}', 'flushdb'], parameters: { database: { type: 'integer', minimum: 0, maximum: 15 } } },
 * })
 */
export const defineCommands = (commands: Readonly<Record<string, CommandDefinition>>): Readonly<Record<string, CommandDefinition>> =>
  commands
