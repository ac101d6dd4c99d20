import { commandAction, commandType } from '../commands/command-name.ts'
import { findCommand, valuesFor } from '../commands/find-command.ts'
import { type CommandsConfig, loadCommands } from '../commands/load-commands.ts'
import { plainArgs } from '../commands/read-args.ts'
import { BgtaskError } from '../errors.ts'
import { EXEC_TYPE_FOREVER } from '../task/task.ts'
import { told } from '../task/told.ts'
import type { Actor } from './audited.ts'
import { requireReachOfTask } from './command-reach.ts'
import { showValue } from './show-value.ts'
import type { TaskWish } from './store-tasks.ts'

/**
 * A wish as it was given, but for one that is a command: its name and args are held against the commands file, and against what the one who asks
 * may run; its limits become those of the file. Every way to add a task leads through here, so there is none around it.
 * @param actor undefined: the application's own code asks, which may run any command that the file has
 * @throws BgtaskError `refused`, `forbidden`, `not-found`, `misconfigured`
 */
export const asCommandWish = async (config: CommandsConfig, wish: TaskWish, actor: Actor | undefined): Promise<TaskWish> => {
  if (wish?.action !== commandAction) return wish
  const params = paramsOf(wish.params)
  if (actor) await requireReachOfTask(config, { action: commandAction, params: { name: params.name as string } }, actor.reach)
  const command = findCommand(await loadCommands(config), params.name)
  const args = plainArgs(valuesFor(command, params.args ?? {}))
  const { options } = wish
  const given = typeof options === 'string' ? { execType: options } : (options ?? {})
  if (given.execType === EXEC_TYPE_FOREVER)
    throw new BgtaskError('refused', told`A command ends, so it cannot be kept up as a loop; make it ONCE, or write an action for it.`)
  return {
    action: commandAction,
    params: { name: command.name, args },
    options: {
      graceMs: command.graceMs,
      rerunAfterCrash: command.rerunAfterCrash,
      ...given,
      type: given.type || commandType,
      // Less than the file says, but never more.
      timeoutMs: Math.min(typeof given.timeoutMs === 'number' ? given.timeoutMs : command.timeoutMs, command.timeoutMs),
    },
  }
}

const paramsOf = (given: unknown): { name: unknown; args?: unknown } => {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new BgtaskError(
      'refused',
      told`The params of ${commandAction} are ${showValue(given)}; they must be an object with name and args.`,
    )
  const strange = Object.keys(given).find(key => key !== 'name' && key !== 'args')
  if (strange !== undefined)
    throw new BgtaskError('refused', told`${showValue(strange)} stands in the params of ${commandAction}; allowed there are name and args.`)
  return {
    name: Object.hasOwn(given, 'name') ? Reflect.get(given, 'name') : undefined,
    args: Object.hasOwn(given, 'args') ? Reflect.get(given, 'args') : {},
  }
}
