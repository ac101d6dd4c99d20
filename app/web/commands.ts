import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { reaches, requireReach } from '../api/command-reach.ts'
import { sendCommand } from '../api/send-command.ts'
import type { Command, Value } from '../commands/command.ts'
import { commandAction } from '../commands/command-name.ts'
import { findCommand } from '../commands/find-command.ts'
import { type Commands, loadCommands } from '../commands/load-commands.ts'
import { argvOf, plainArgs, readArgs } from '../commands/read-args.ts'
import { redactionOf } from '../runs/redaction.ts'
import { findTask } from '../store/find-task.ts'
import { listTasks } from '../store/list-tasks.ts'
import type { Task } from '../task/task.ts'
import type { Sentence } from '../task/told.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { argsGiven, commandFields, fieldsFromArgs } from './command-fields.ts'
import { fieldsOf } from './fields.ts'
import { type Panel, redirectWith } from './panel.ts'
import { parseTaskId } from './task-id.ts'

/** Tasks looked at for how each command last ended; what ran longer ago says so. */
const newestTasks = 500
const runsShown = 10

/** What the commands file allows, and a form for each: first it shows exactly what will run, then it is asked for. */
export const registerCommands = (app: FastifyInstance, panel: Panel) => {
  app.get('/core/commands', async (_request, reply) => list(panel, reply))

  app.get('/core/commands/:name', async (request, reply) => {
    const commands = await loadCommands(panel.config)
    const name = nameIn(request)
    if (isBroken(commands, name)) return list(panel, reply, commands)
    return form(panel, request, reply, findCommand(commands, name), await argsLike(panel, request, name), {})
  })

  app.post('/core/commands/:name', { config: { fresh: true } }, async (request, reply) => {
    const commands = await loadCommands(panel.config)
    const name = nameIn(request)
    if (isBroken(commands, name)) return list(panel, reply, commands)
    const command = findCommand(commands, name)
    const actor = actorOf(request)
    requireReach(actor.reach, command)
    const fields = fieldsOf(request.body)
    const { values, problems } = readArgs(command, argsGiven(command, fields))
    if (!values) return form(panel, request, reply, command, fields, { problems })
    // Only what was shown is run: neither the file nor the fields may have changed since.
    const isSeen = fields.seen === sealOf(command, values)
    if (fields.step !== 'run' || !isSeen) {
      const isChanged = fields.step === 'run' && fields.seen !== ''
      return form(panel, request, reply, command, fields, {
        values,
        ...(isChanged ? { problems: [translate(request.language, 'commands.changed')] } : {}),
      })
    }
    const by = request.user!.name
    const { task } = await sendCommand(panel.background, command.name, plainArgs(values), { creator: by }, { by, actor })
    panel.live.poke()
    const text = translate(request.language, 'commands.sent', { name: command.name, id: String(task.id) })
    return redirectWith(request, reply, `${panel.root}/core/bgtask/${task.id}`, { tone: 'good', text })
  })
}

/** Where a command is asked for again with the args of a task, below the panel's address. */
export const commandPath = ({ id, params }: Pick<Task, 'id' | 'params'>): string => {
  const name = typeof params === 'object' && params !== null && 'name' in params ? String(params.name) : ''
  return `/core/commands/${encodeURIComponent(name.slice(0, 64))}?like=${id}`
}

const nameIn = (request: FastifyRequest) => (request.params as { name: string }).name

const isBroken = ({ fault, broken, file }: Commands, name: string) =>
  file === null || fault !== null || broken.some(one => one.name === name)

const list = async (panel: Panel, reply: FastifyReply, known?: Commands) => {
  const commands = known ?? (await loadCommands(panel.config))
  const last = commands.entries.length > 0 ? await lastTasks(panel) : []
  const rows = commands.entries.map(command => ({ command, last: last.find(({ name }) => name === command.name)?.task ?? null }))
  return reply.page('commands', { commands, rows, newestTasks, isAll: last.length < newestTasks }, known ? 409 : 200)
}

const form = async (
  panel: Panel,
  request: FastifyRequest,
  reply: FastifyReply,
  command: Command,
  given: Record<string, string> | null,
  { values, problems }: { values?: ReadonlyMap<string, Value>; problems?: readonly Sentence[] },
) => {
  const may = reaches(actorOf(request).reach, command)
  // One without parameters is known as a whole before anybody has said anything.
  const known = values ?? (command.parameters.size === 0 ? new Map<string, Value>() : null)
  const redactor = redactionOf(panel.config)
  const model = {
    command,
    may,
    fields: commandFields(command, given),
    problems: problems ?? [],
    template: known
      ? null
      : [
          command.executable,
          ...command.templates.map(template => template.map(part => (typeof part === 'string' ? part : `{${part.parameter}}`)).join('')),
        ],
    argv: known ? argvOf(command, known).map(redactor.text) : null,
    kept: known ? Object.entries(fieldsFromArgs(plainArgs(known))) : [],
    seen: known ? sealOf(command, known) : '',
    last: (await lastTasks(panel)).filter(({ name }) => name === command.name).slice(0, runsShown),
  }
  return reply.page('command', model, problems && problems.length > 0 ? 422 : 200)
}

/** Stands for everything that will be done, so that it can be told whether that has changed. */
const sealOf = (command: Command, values: ReadonlyMap<string, Value>): string =>
  createHash('sha256')
    .update(JSON.stringify([argvOf(command, values), command.cwd, command.env, command.runAs]))
    .digest('hex')

const lastTasks = async (panel: Panel): Promise<{ name: string; task: Task }[]> => {
  const { tasks } = await listTasks(panel.background.db, { action: commandAction }, { limit: newestTasks })
  const { task: shown } = redactionOf(panel.config)
  return tasks.map(task => ({ name: String((task.params as { name?: unknown } | null)?.name ?? ''), task: shown(task) }))
}

const argsLike = async (panel: Panel, request: FastifyRequest, name: string): Promise<Record<string, string> | null> => {
  const id = parseTaskId(fieldsOf(request.query).like ?? '')
  const task = id === null ? null : await findTask(panel.background.db, id)
  if (task?.action !== commandAction) return null
  const params = redactionOf(panel.config).task(task).params as { name?: unknown; args?: unknown } | null
  return params?.name === name ? fieldsFromArgs(params.args) : null
}
