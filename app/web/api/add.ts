import { Type } from 'typebox'
import { nameIn } from '../../api/command-reach.ts'
import { coversScope } from '../../api/scopes.ts'
import { tokenActor } from '../../api/tokens.ts'
import { actionName } from '../../catalog/scan-actions.ts'
import { commandAction } from '../../commands/command-name.ts'
import { actorOf } from '../actor.ts'
import { apiPrefix, lacksScope } from '../bearer.ts'
import type { Panel } from '../panel.ts'
import type { Api } from './register.ts'
import { addedSchema } from './schemas.ts'
import { mostTasksAtOnce, readTaskWishes, taskWishSchema } from './task-wish.ts'
import { createTeller } from './tell-task.ts'

/** Adding tasks: one, or a list. */
export const registerAddApi = (api: Api, panel: Panel) => {
  const { background } = panel

  api.post('/tasks', { schema: addSchema, validatorCompiler: () => checkedBelow }, async (request, reply) => {
    const wishes = await readTaskWishes(request.body)
    const { scopes, name } = request.token!
    const outside = wishes.find(({ action }) => !coversScope(scopes, { kind: 'task:add', action }))
    if (outside) return lacksScope(reply, actionName.test(outside.action) ? `task:add:${outside.action}` : 'task:add:<action>')
    const unnamed = wishes.find(
      ({ action, params }) => action === commandAction && !coversScope(scopes, { kind: 'command', name: nameIn(params) }),
    )
    if (unnamed) return lacksScope(reply, `command:${nameIn(unnamed.params) || '<name>'}`)
    const by = tokenActor(request.token!)
    const withCreator = wishes.map(wish => ({ ...wish, options: { creator: name, ...wish.options } }))
    const stored = await background.storeTasks(withCreator, {
      by,
      actor: actorOf(request),
      // With a unique key a task may be shown, overwritten or replaced that somebody else added: no further than the token reaches.
      mayMeet: ({ action, params }) =>
        coversScope(scopes, { kind: 'task:add', action }) &&
        (action !== commandAction || coversScope(scopes, { kind: 'command', name: nameIn(params) })),
    })
    panel.live.poke()
    const tell = createTeller(panel)
    const answers = stored.map(({ task, added, updated, replaced }) => ({ task: tell(task), added, updated, replaced }))
    reply.code(stored.some(({ added }) => added) ? 201 : 200)
    if (Array.isArray(request.body)) return { tasks: answers }
    return reply.header('location', `${panel.top}${apiPrefix}/tasks/${stored[0]!.task.id}`).send(answers[0])
  })
}

const added = Type.Union([addedSchema, Type.Object({ tasks: Type.Array(addedSchema) }, { additionalProperties: false })])

const addSchema = {
  summary: 'Add a task, or several',
  description:
    `One task, or a list of 1 to ${mostTasksAtOnce.toLocaleString('en')}: all of them are stored or none. ` +
    'With the answer the task is stored, whatever crashes. `creator` is the name of the token unless said otherwise.',
  body: Type.Union([taskWishSchema, Type.Array(taskWishSchema, { minItems: 1, maxItems: mostTasksAtOnce })], {
    examples: [
      { action: 'report/build', params: { month: '2026-11' } },
      { action: 'mail/remind', params: { user: 7 }, options: { delayMs: 3_600_000, unique: 'remind-7', onConflict: 'replace' } },
    ],
  }),
  response: {
    200: { ...added, description: 'Nothing was added: a task with the same unique key was kept, or has these params now (`updated`).' },
    201: { ...added, description: 'Added.' },
  },
  errors: [400, 409, 413, 415, 422],
} as const

/** By readTaskWishes, whose sentences say which task of the list it is. */
const checkedBelow = (value: unknown) => ({ value })
