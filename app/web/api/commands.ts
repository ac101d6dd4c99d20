import { type TSchema, Type } from 'typebox'
import { reaches } from '../../api/command-reach.ts'
import { coversScope } from '../../api/scopes.ts'
import { type CommandOptions, sendCommand } from '../../api/send-command.ts'
import type { StoredTask } from '../../api/store-tasks.ts'
import { tokenActor } from '../../api/tokens.ts'
import type { Command, Parameter } from '../../commands/command.ts'
import { commandName } from '../../commands/command-name.ts'
import { loadCommands } from '../../commands/load-commands.ts'
import { redactionOf } from '../../runs/redaction.ts'
import { actorOf } from '../actor.ts'
import { apiPrefix, lacksScope } from '../bearer.ts'
import type { Panel } from '../panel.ts'
import { answerOnce, idempotencyNote, type OnceAnswer } from './answer-once.ts'
import type { Api } from './register.ts'
import { addedSchema, oneOf } from './schemas.ts'
import { createTeller } from './tell-task.ts'

/** The commands of the commands file, for tokens that name them. */
export const registerCommandsApi = (api: Api, panel: Panel) => {
  api.get('/commands', { schema: listSchema }, async request => {
    const { entries } = await loadCommands(panel.config)
    return { commands: entries.filter(command => reaches(actorOf(request).reach, command)).map(tell) }
  })

  api.post('/commands/:name', { schema: sendSchema }, async (request, reply) => {
    const { scopes, name: creator } = request.token!
    const { name } = request.params
    // Before the file is looked at: what a token may not run it need not know of.
    if (!coversScope(scopes, { kind: 'command', name })) return lacksScope(reply, `command:${commandName.test(name) ? name : '<name>'}`)
    const { args = {}, options = {} } = request.body ?? {}
    const by = tokenActor(request.token!)
    return answerOnce(panel.background, request, reply, async keep => {
      let answer: OnceAnswer | undefined
      const stored = await sendCommand(
        panel.background,
        name,
        args,
        { creator, ...options },
        {
          by,
          actor: actorOf(request),
          together: async ([inserted], trx) => {
            answer = answerTo(panel, inserted!)
            await keep(answer, trx)
          },
        },
      )
      panel.live.poke()
      return answer ?? answerTo(panel, stored)
    })
  })

  const { text } = redactionOf(panel.config)
  const tell = ({ name, description, parameters, timeoutMs }: Command) => ({
    name,
    description: description === null ? null : text(description),
    timeoutMs,
    parameters: [...parameters.values()].map(tellParameter),
  })
}

const answerTo = (panel: Panel, { task, ...more }: StoredTask): OnceAnswer => ({
  status: 201,
  body: { task: createTeller(panel)(task), ...more },
  headers: { location: `${panel.top}${apiPrefix}/tasks/${task.id}` },
})

/** As the commands file has it. */
const tellParameter = (parameter: Parameter) => {
  const { name, title, description } = parameter
  const about = { name, title, description, ...(parameter.default === undefined ? {} : { default: parameter.default }) }
  if (parameter.kind === 'choice') return { ...about, type: 'string', enum: parameter.values }
  if (parameter.kind === 'whole') return { ...about, type: 'integer', minimum: parameter.least, maximum: parameter.most }
  if (parameter.kind === 'text') return { ...about, type: 'string', pattern: parameter.pattern, maxLength: parameter.longest }
  return { ...about, type: 'boolean' }
}

const textOrNull = Type.Union([Type.String(), Type.Null()])

const parameterSchema = Type.Object(
  {
    name: Type.String(),
    title: textOrNull,
    description: textOrNull,
    default: Type.Optional(
      Type.Union([Type.String(), Type.Integer(), Type.Boolean()], { description: 'Without one, a value must be given.' }),
    ),
    type: oneOf(['string', 'integer', 'boolean']),
    enum: Type.Optional(Type.Array(Type.String())),
    minimum: Type.Optional(Type.Integer()),
    maximum: Type.Optional(Type.Integer()),
    pattern: Type.Optional(Type.String()),
    maxLength: Type.Optional(Type.Integer()),
  },
  { additionalProperties: false },
)

const commandSchema = Type.Object(
  { name: Type.String(), description: textOrNull, timeoutMs: Type.Integer(), parameters: Type.Array(parameterSchema) },
  { $id: 'Command', additionalProperties: false },
)

const listSchema = {
  summary: 'The commands that this token may run',
  description: 'As the commands file has them at this moment. The program and its arguments are not told.',
  response: { 200: Type.Object({ commands: Type.Array(commandSchema) }, { additionalProperties: false }) },
} as const

const optionsSchema = Type.Object(
  {
    creator: Type.Optional(Type.String()),
    runAt: Type.Optional(Type.Union([Type.String(), Type.Number(), Type.Null()])),
    delayMs: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
    priority: Type.Optional(Type.Integer()),
  } satisfies Partial<Record<keyof CommandOptions, TSchema>>,
  { additionalProperties: false },
)

const sendSchema = {
  summary: 'Run a command',
  description:
    'Adds a task of core/command, which starts the program of that name in the commands file with these values. Values that do not fit are refused. ' +
    idempotencyNote,
  params: Type.Object({ name: Type.String({ description: 'Of the command.', examples: ['deploy'] }) }),
  body: Type.Optional(
    Type.Object(
      {
        args: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Values of its parameters, by name.' })),
        options: Type.Optional(optionsSchema),
      },
      { additionalProperties: false, examples: [{ args: { environment: 'staging', revision: 'a1b2c3d' } }] },
    ),
  ),
  response: { 201: { ...addedSchema, description: 'Added.' } },
  errors: [400, 404, 413, 415, 422],
} as const
