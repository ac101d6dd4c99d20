import type { Command } from '../commands/command.ts'
import { commandAction, commandName } from '../commands/command-name.ts'
import { findCommand } from '../commands/find-command.ts'
import { type CommandsConfig, loadCommands } from '../commands/load-commands.ts'
import { BgtaskError } from '../errors.ts'
import type { Task } from '../task/task.ts'
import { Told, told } from '../task/told.ts'
import { coversScope } from './scopes.ts'
import { type Role, roles } from './users.ts'

/** Which commands somebody may run: those of a role, those that the scopes of a token name, or, with the shell of this machine, all. */
export type Reach = { role: Role } | { scopes: readonly string[] } | 'all'

/** @param reach undefined: nobody said, so none */
export const reaches = (reach: Reach | undefined, { name, role }: Pick<Command, 'name' | 'role'>): boolean => {
  if (reach === undefined || reach === 'all') return reach === 'all'
  if ('scopes' in reach) return coversScope(reach.scopes, { kind: 'command', name })
  return roles.indexOf(reach.role) >= roles.indexOf(role)
}

/** @throws BgtaskError `forbidden` */
export const requireReach = (reach: Reach | undefined, command: Pick<Command, 'name' | 'role'>): void => {
  if (reaches(reach, command)) return
  if (reach !== undefined && reach !== 'all' && 'scopes' in reach) throw scopeMissing(command.name)
  const own = reach === undefined || reach === 'all' ? '' : told` Yours is ${roleWord(reach.role)}.`
  throw new BgtaskError('forbidden', told`The command ${command.name} needs the role ${roleWord(command.role)}.${own}`)
}

/**
 * Whatever makes a task run once more asks here first: one that is a command may not be run by those who may not run that command.
 * @throws BgtaskError `forbidden`; `not-found` or `misconfigured` when the file has the command no more
 */
export const requireReachOfTask = async (
  config: CommandsConfig,
  { action, params }: Pick<Task, 'action' | 'params'>,
  reach: Reach | undefined,
): Promise<void> => {
  if (action !== commandAction || reach === 'all') return
  const name = nameIn(params)
  // Before the file is looked at: what a token may not run it need not know of.
  if (reach !== undefined && 'scopes' in reach && !coversScope(reach.scopes, { kind: 'command', name })) throw scopeMissing(name)
  requireReach(reach, findCommand(await loadCommands(config), name))
}

/** The name of the command in a task's params; empty when there is none. */
export const nameIn = (params: unknown): string => {
  const name: unknown = typeof params === 'object' && params !== null && Object.hasOwn(params, 'name') ? Reflect.get(params, 'name') : ''
  return typeof name === 'string' && commandName.test(name) ? name : ''
}

// A role as a word within a sentence.
const roleWord = (role: Role) => new Told(role, [])

const scopeMissing = (name: string) =>
  new BgtaskError(
    'forbidden',
    told`This token does not have the scope command:${name || '<name>'}. An administrator can make one that has it.`,
  )
