import { commandAction } from '../commands/command-name.ts'
import { redactionOf } from '../runs/redaction.ts'
import { redactJson } from '../secrets/redact-json.ts'
import type { Json } from '../task/task.ts'
import type { Actor } from './audited.ts'
import type { Background } from './background.ts'
import type { TaskOptions } from './check-options.ts'
import { showValue } from './show-value.ts'
import type { StoredTask, Together } from './store-tasks.ts'

/** What of a task's options a command takes; the rest is said by the commands file. */
export type CommandOptions = Pick<TaskOptions, 'creator' | 'runAt' | 'delayMs' | 'priority' | 'unique' | 'onConflict' | 'trx'>

/** Values by name; a number or a flag may also be given as text. */
export type CommandArgs = Readonly<Record<string, string | number | boolean>>

/**
 * Asks that a command of the commands file be run, as a task of `core/command`.
 * @param who.actor a person or a program: may run what its reach says, and the audit tells of it; without one the application itself asks
 * @throws BgtaskError `refused`, `forbidden`, `not-found`, `misconfigured`: nothing is stored
 */
export const sendCommand = async (
  background: Pick<Background, 'config' | 'storeTasks'>,
  name: string,
  args: unknown = {},
  options: CommandOptions = {},
  { by, actor, together }: { by?: string; actor?: Actor; together?: Together } = {},
): Promise<StoredTask> => {
  const wish = { action: commandAction, params: { name, args }, options }
  const audit = actor && { actor: { ...actor, act: 'command', detail: `${showValue(name)} ${shownArgs(background.config, args)}` } }
  const [stored] = await background.storeTasks([wish], { ...(by === undefined ? {} : { by }), ...audit, ...(together ? { together } : {}) })
  return stored!
}

const shownArgs = (config: Background['config'], args: unknown): string => {
  if (typeof args !== 'object' || args === null) return ''
  return JSON.stringify(redactJson(args as Json, redactionOf(config).ofParams(args as Json))).slice(0, 2_000)
}
