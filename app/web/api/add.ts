import { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { StoredTask } from '../../api/store-tasks.ts'
import { tokenActor } from '../../api/tokens.ts'
import { BgtaskError } from '../../errors.ts'
import { actorOf } from '../actor.ts'
import { apiPrefix, lacksScope } from '../bearer.ts'
import type { Panel } from '../panel.ts'
import { answerLines, linesType } from './add-lines.ts'
import { answerOnce, idempotencyNote, type OnceAnswer } from './answer-once.ts'
import { mayMeetWith, requireAction, scopeMissingFor } from './may-add.ts'
import { linesLimits } from './read-lines.ts'
import type { Api, SchemaTypes } from './register.ts'
import { addedSchema, orNull } from './schemas.ts'
import { mostTasksAtOnce, readTaskWishes, taskWishSchema } from './task-wish.ts'
import { createTeller } from './tell-task.ts'
import { allButBody } from './validate.ts'

/** Adding tasks: one, or a list. */
export const registerAddApi = (api: Api, panel: Panel) => {
  const { background } = panel

  api.register(async lines => {
    // Handed on as it comes, and read by answerLines.
    lines.addContentTypeParser(linesType, (_request, payload, done) => done(null, payload))
    lines.withTypeProvider<SchemaTypes>().post('/tasks', { schema: addSchema, validatorCompiler: allButBody }, async (request, reply) => {
      const { first } = request.query
      // What the parser did decides, and not the header read once more: a stream that passed for JSON would be walked through.
      if ((request.body as unknown) instanceof IncomingMessage) return answerLines(panel, request, reply, first ?? 1)
      if (first !== undefined)
        throw new BgtaskError('refused', `first is given, which is for bodies of lines (${linesType}); leave it out.`)
      return addTasks(request, reply)
    })
  })

  const addTasks = async (request: FastifyRequest, reply: FastifyReply) => {
    const wishes = await readTaskWishes(request.body)
    const { scopes, name } = request.token!
    for (const wish of wishes) {
      const missing = scopeMissingFor(scopes, wish)
      if (missing !== null) return lacksScope(reply, missing)
      requireAction(await background.catalog(), scopes, wish.action)
    }
    const by = tokenActor(request.token!)
    const withCreator = wishes.map(wish => ({ ...wish, options: { creator: name, ...wish.options } }))
    return answerOnce(background, request, reply, async keep => {
      let answer: OnceAnswer | undefined
      const stored = await background.storeTasks(withCreator, {
        by,
        actor: actorOf(request),
        together: async (inserted, trx) => {
          answer = answerTo(panel, request.body, inserted)
          await keep(answer, trx)
        },
        mayMeet: mayMeetWith(scopes),
      })
      panel.live.poke()
      return answer ?? answerTo(panel, request.body, stored)
    })
  }
}

const answerTo = (panel: Panel, body: unknown, stored: readonly StoredTask[]): OnceAnswer => {
  const tell = createTeller(panel)
  const answers = stored.map(({ task, added, updated, replaced }) => ({ task: tell(task), added, updated, replaced }))
  const status = stored.some(({ added }) => added) ? 201 : 200
  if (Array.isArray(body)) return { status, body: { tasks: answers } }
  return { status, body: answers[0]!, headers: { location: `${panel.top}${apiPrefix}/tasks/${stored[0]!.task.id}` } }
}

const added = Type.Union([addedSchema, Type.Object({ tasks: Type.Array(addedSchema) }, { additionalProperties: false })])

const fault = Type.Object({ code: Type.String(), message: Type.String() }, { additionalProperties: false })
const lineNumber = Type.Integer({ minimum: 1 })
const lineSchema = Type.Union([
  Type.Object(
    {
      line: lineNumber,
      id: Type.Integer(),
      uid: Type.String(),
      added: Type.Boolean(),
      updated: Type.Boolean(),
      replaced: orNull(Type.Integer()),
    },
    { additionalProperties: false },
  ),
  Type.Object({ line: lineNumber, error: fault }, { additionalProperties: false }),
  Type.Object(
    { stopped: Type.Object({ line: lineNumber, error: fault }, { additionalProperties: false }) },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      end: Type.Object(
        { lines: Type.Integer(), added: Type.Integer(), kept: Type.Integer(), refused: Type.Integer() },
        { additionalProperties: false },
      ),
    },
    { additionalProperties: false },
  ),
])

const addSchema = {
  summary: 'Add a task, or several',
  description:
    `One task, or a list of 1 to ${mostTasksAtOnce.toLocaleString('en')}: all of them are stored or none. ` +
    'With the answer the task is stored, whatever crashes. `creator` is the name of the token unless said otherwise. ' +
    `${idempotencyNote}\n\n` +
    `As \`${linesType}\` the body has one task on each line, up to ${linesLimits.lines.toLocaleString('en')}, and is read and answered while it comes. ` +
    'Each line answers for itself: one that is refused keeps no other from being stored. The last line of the answer says `end`, or `stopped` and ' +
    'the first line that was not done; an answer without either was cut. With an `Idempotency-Key`, send the same lines again, or from `first` on: ' +
    'what was done is answered as it was, and the rest is done.',
  querystring: Type.Object(
    {
      first: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 1_000_000_000,
          description: 'Of a body of lines: the number of its first line, to go on where a broken request was.',
        }),
      ),
    },
    { additionalProperties: false },
  ),
  body: {
    content: {
      'application/json': {
        schema: Type.Union([taskWishSchema, Type.Array(taskWishSchema, { minItems: 1, maxItems: mostTasksAtOnce })], {
          examples: [
            { action: 'report/build', params: { month: '2026-11' } },
            { action: 'mail/remind', params: { user: 7 }, options: { delayMs: 3_600_000, unique: 'remind-7', onConflict: 'replace' } },
          ],
        }),
      },
      [linesType]: { schema: { ...taskWishSchema, $id: undefined, description: 'One on each line.' } },
    },
  },
  response: {
    200: {
      description:
        'Nothing was added: a task with the same unique key was kept, or has these params now (`updated`). Of lines: one answer for each, while they come.',
      content: { 'application/json': { schema: added }, [linesType]: { schema: lineSchema } },
    },
    201: { ...added, description: 'Added.' },
  },
  headers: Type.Object({ 'idempotency-key': Type.Optional(Type.String({ description: '1 to 255 letters, digits and signs.' })) }),
  errors: [400, 409, 413, 415, 422],
} as const
