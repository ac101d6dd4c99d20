import { setTimeout as delay } from 'node:timers/promises'
import { sendCommand } from '../api/send-command.ts'
import { taskGiven } from '../api/task-given.ts'
import type { Command, Parameter } from '../commands/command.ts'
import { loadCommands } from '../commands/load-commands.ts'
import { loadConfig } from '../config.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { redactionOf } from '../runs/redaction.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import { isFinal, type Task } from '../task/task.ts'
import { actor, commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { runOutput } from './output.ts'
import { note, print, printJson } from './print.ts'
import { formatTable } from './table.ts'

export interface CommandOptions {
  wait?: boolean
  json?: boolean
}

const lookEveryMs = 200

/** `command list`, or `command <name> [key=value …]`, as a task like any other. */
export const runCommand = async (
  name: string | undefined,
  pairs: readonly string[],
  { wait = false, json = false }: CommandOptions,
): Promise<number> => {
  if (name === undefined) return list(json)
  if (name === 'list') {
    if (pairs.length === 0) return list(json)
    throw new BgtaskError('usage', `command list shows which there are and takes no values; ${JSON.stringify(pairs[0])} is too much.`)
  }
  if (name === '') throw new BgtaskError('usage', `The name of the command is empty; ${ourCommand} command list shows which there are.`)
  const args = argsOf(pairs)
  const task = await withBackground(async background => {
    const by = actor()
    const { task } = await sendCommand(background, name, args, { creator: by.slice(0, 64) }, { by, actor: commandLine() })
    if (!readSupervisor(background.config.runtime)) note(`The supervisor does not run here; ${ourCommand} start starts it.`)
    if (json && !wait) printJson(redactionOf(background.config).task(task))
    else if (!json) (wait ? note : print)(`Task ${task.id} is added: ${name}.`)
    return task
  })
  return wait ? follow(task.id, json) : exitCodes.done
}

const list = async (json: boolean): Promise<number> => {
  const { file, fault, entries, broken } = await loadCommands(await loadConfig())
  if (fault !== null) throw new BgtaskError('misconfigured', fault)
  if (json)
    printJson(entries.map(({ name, description, role, parameters }) => ({ name, description, role, parameters: [...parameters.values()] })))
  else if (entries.length > 0) print(formatTable(columns, entries))
  else print(file === null ? 'There is no commands file; the README says how to write one.' : `${file} has no command that can be run.`)
  for (const { sentence } of broken) note(String(sentence))
  return broken.length > 0 ? exitCodes.misconfigured : exitCodes.done
}

const columns = [
  { title: 'name', value: ({ name }: Command) => name },
  { title: 'values', value: ({ parameters }: Command) => [...parameters.values()].map(usage).join(' ') || '-', flexible: true },
  { title: 'who may', value: ({ role }: Command) => role },
  { title: 'description', value: ({ description }: Command) => description ?? '-', flexible: true },
]

const usage = (parameter: Parameter): string => {
  const { name } = parameter
  const value = {
    choice: () => (parameter.kind === 'choice' ? parameter.values.join('|') : ''),
    whole: () => (parameter.kind === 'whole' ? `${parameter.least}…${parameter.most}` : ''),
    text: () => '<text>',
    flag: () => 'true|false',
  }[parameter.kind]()
  return parameter.default === undefined ? `${name}=${value}` : `[${name}=${value}]`
}

/** @throws BgtaskError `usage` */
const argsOf = (pairs: readonly string[]): Record<string, string> => {
  const args: Record<string, string> = Object.create(null)
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw new BgtaskError('usage', `${JSON.stringify(pair)} is no value; write it as name=value, as in environment=staging.`)
    const name = pair.slice(0, at)
    if (name in args) throw new BgtaskError('usage', `${name} is given twice; give it once.`)
    args[name] = pair.slice(at + 1)
  }
  return { ...args }
}

/** Its output as it comes, and how it ended. */
const follow = async (id: number, json: boolean): Promise<number> => {
  if (!json) {
    const { number } = await until(id, task => task.number > 0 || isFinal(task.state))
    if (number > 0) await runOutput(String(id), { follow: true })
  }
  const task = await until(id, ({ state }) => isFinal(state))
  if (json) printJson(task)
  else note(`Task ${id} ${task.state}${task.content ? `: ${task.content}` : ''}.`)
  return task.state === 'succeeded' ? exitCodes.done : exitCodes.failed
}

const until = (id: number, isSo: (task: Task) => boolean): Promise<Task> =>
  withBackground(async background => {
    for (;;) {
      const task = await taskGiven(background, String(id))
      if (isSo(task)) return redactionOf(background.config).task(task)
      await delay(lookEveryMs)
    }
  })
