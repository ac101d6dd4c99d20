import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { changedMeanwhile, type EditWish, editTask, requireEditable, revertEdit } from '../../api/edit-task.ts'
import { shownChanges } from '../../api/shown-changes.ts'
import { taskGiven } from '../../api/task-given.ts'
import { BgtaskError } from '../../errors.ts'
import { redactionOf } from '../../runs/redaction.ts'
import { asPrefilled } from '../../secrets/as-prefilled.ts'
import { prefillParams, restoreParams } from '../../secrets/prefill.ts'
import { redactJson } from '../../secrets/redact-json.ts'
import { findEdit, listEdits } from '../../store/list-edits.ts'
import { type Edit, editEffects, limitsOfKind, type Place, sameJson, type TaskTerms, termsOf } from '../../task/edit.ts'
import type { Json, Task } from '../../task/task.ts'
import { actorOf } from '../actor.ts'
import { lacksScope } from '../bearer.ts'
import { touchedIn } from '../edited-terms.ts'
import type { Panel } from '../panel.ts'
import { answerOnce, idempotencyNote, type OnceAnswer } from './answer-once.ts'
import { scopeMissingFor } from './may-add.ts'
import type { Api } from './register.ts'
import { ms, oneOf, orNull, taskParams } from './schemas.ts'

/**
 * Other params and limits for a loop, or for a ONCE task that waits, and bringing back those from before. Whoever chooses the params of a task makes
 * its action run with them: so other params take the scope that adds such a task, besides the one for all of this.
 */
export const registerEditsApi = (api: Api, panel: Panel) => {
  const { background } = panel

  api.get('/tasks/:id/edits', { schema: listSchema }, async ({ params, query: { limit = 50, before } }) => {
    const task = await taskGiven(background, params.id)
    const found = await listEdits(background.db, task.id, { limit: limit + 1, ...(before === undefined ? {} : { before }) })
    const shown = found.slice(0, limit)
    return { edits: shown.map(edit => tellEdit(panel, edit)), older: found.length > limit ? shown.at(-1)!.n : null }
  })

  api.post('/tasks/:id/edit', { schema: editSchema }, async (request, reply) => {
    const task = await taskGiven(background, request.params.id)
    const { params, effect = 'next', seen, ...limits } = request.body
    const missing = params === undefined ? null : scopeMissingFor(request.token!.scopes, { action: task.action, params })
    if (missing !== null) return lacksScope(reply, missing)
    return once(panel, request, reply, async together => {
      requireEditable(task)
      requireSeen(task, seen)
      requireLimits(task, limits)
      const kept: TaskTerms = { ...termsOf(task), ...limits }
      const given = params === undefined ? { params: task.params, touched: [] } : paramsGiven(panel, task, kept, params as Json)
      const wish = { actor: actorOf(request), effect, touched: given.touched, together }
      return editTask(background, task, { ...kept, params: given.params }, wish)
    })
  })

  api.post('/tasks/:id/edits/:n/reversal', { schema: reversalSchema }, async (request, reply) => {
    const task = await taskGiven(background, request.params.id)
    const { effect = 'next', seen } = request.body ?? {}
    const before = (await findEdit(background.db, task.id, request.params.n))?.before.params
    const isOther = before !== undefined && !sameJson(before, task.params)
    const missing = isOther ? scopeMissingFor(request.token!.scopes, { action: task.action, params: before }) : null
    if (missing !== null) return lacksScope(reply, missing)
    return once(panel, request, reply, async together => {
      requireSeen(task, seen)
      return revertEdit(background, task, request.params.n, { actor: actorOf(request), effect, together })
    })
  })
}

type Together = NonNullable<EditWish['together']>

const once = (panel: Panel, request: FastifyRequest, reply: FastifyReply, work: (together: Together) => Promise<Edit>) =>
  answerOnce(panel.background, request, reply, async keep => {
    const edit = await work((stored, trx) => keep(answerTo(panel, stored), trx))
    panel.live.poke()
    return answerTo(panel, edit)
  })

const answerTo = (panel: Panel, edit: Edit): OnceAnswer => ({ status: 200, body: { edit: tellEdit(panel, edit) } })

const tellEdit = ({ config }: Pick<Panel, 'config'>, { n, at, by, via, effect, number, revertOf, touched, before, after }: Edit) => {
  const redactor = redactionOf(config).ofParams([before.params, after.params])
  return { n, at, by, via, effect, number, revertOf, ...shownChanges(before, after, { redactor, touched }) }
}

const requireSeen = (task: Task, seen: Pick<Task, 'edits' | 'superseded'> | undefined): void => {
  if (seen !== undefined && (seen.edits !== task.edits || seen.superseded !== task.superseded)) throw changedMeanwhile(task)
}

const requireLimits = (task: Task, given: object): void => {
  const offered: readonly string[] = limitsOfKind(task)
  const strange = Object.keys(given).find(name => !offered.includes(name))
  if (strange !== undefined)
    throw new BgtaskError('refused', `Task ${task.id} is a loop, which has no ${strange}; of its limits, give graceMs.`)
}

/** With what is hidden put in where it stands as it was told. @throws BgtaskError `refused` where it stands elsewhere */
const paramsGiven = ({ config }: Panel, task: Task, kept: TaskTerms, given: Json): { params: Json; touched: Place[] } => {
  const { ofParams } = redactionOf(config)
  const redactor = ofParams(task.params)
  const prefill = prefillParams(task.params, redactor)
  const prefilled = asPrefilled(given, redactJson(task.params, redactor), prefill.shown)
  const params = restoreParams(prefilled, prefill, ofParams)
  return { params, touched: touchedIn(prefill.shown, { ...kept, params: prefilled }) }
}

const seenSchema = Type.Optional(
  Type.Object(
    { edits: Type.Integer({ minimum: 0 }), superseded: Type.Integer({ minimum: 0 }) },
    {
      additionalProperties: false,
      description: 'As the task told: when it is not so any more, the answer is 409 and nothing is stored. Without it nobody looks.',
    },
  ),
)

const effectSchema = Type.Optional(
  oneOf(editEffects, {
    default: 'next',
    description:
      '`restart`: a loop that is wanted up gets a fresh process after its current iteration; `next`: they count from its next start.',
  }),
)

const changeSchema = Type.Object(
  {
    limit: orNull(
      oneOf(['timeoutMs', 'graceMs', 'maxAttempts', 'priority', 'rerunAfterCrash'], { description: 'null: it is about the params.' }),
    ),
    name: Type.String({ description: 'Of a place in the params: its keys with dots between; `params` for all of them.' }),
    from: orNull(Type.String({ description: 'As JSON, cut when it is long; null: it was not there.' })),
    to: orNull(Type.String({ description: 'As JSON, cut when it is long; null: it is not there any more.' })),
    isHidden: Type.Boolean({ description: 'It was given anew, and is hidden: it may be the same.' }),
  },
  { additionalProperties: false },
)

const toldEditSchema = Type.Object(
  {
    n: Type.Integer({ minimum: 1, description: '1, 2, 3 … within the task.' }),
    at: ms('When it was stored.'),
    by: orNull(Type.String({ description: 'Who changed it.' })),
    via: Type.String({ description: 'By which kind of request: form, token, command-line …' }),
    effect: oneOf(editEffects),
    number: Type.Integer({ minimum: 0, description: 'The newest run then: it, and those before it, began with what was before.' }),
    revertOf: orNull(Type.Integer({ description: 'The change whose earlier params and limits it brought back.' })),
    changes: Type.Array(changeSchema, { description: 'What differs, without secrets.' }),
    more: Type.Integer({ minimum: 0, description: 'How many changes there are besides.' }),
  },
  { $id: 'Edit', additionalProperties: false },
)

const editAnswer = Type.Object({ edit: toldEditSchema }, { additionalProperties: false })

const listSchema = {
  summary: 'What was changed of the params and limits of a task, newest first',
  description: 'The newest 100 are kept.',
  params: taskParams,
  querystring: Type.Object(
    {
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 50, description: 'How many at most.' })),
      before: Type.Optional(Type.Integer({ minimum: 1, description: '`older` of another answer.' })),
    },
    { additionalProperties: false },
  ),
  response: { 200: Type.Object({ edits: Type.Array(toldEditSchema), older: orNull(Type.Integer()) }, { additionalProperties: false }) },
  errors: [404],
} as const

const editSchema = {
  summary: 'Give a loop, or a task that waits, other params or limits',
  description:
    'What is not given stays as it is; params are given whole, and checked like those of a new task. A hidden value stays what it is where it is ' +
    'sent back as it was told, `[redacted]`, and no host is named that was not there before. ' +
    'A loop has no limit but `graceMs`. Other params also take the scope `task:add:<action>`. ' +
    idempotencyNote,
  params: taskParams,
  body: Type.Object(
    {
      params: Type.Optional(Type.Unknown()),
      graceMs: Type.Optional(Type.Integer()),
      timeoutMs: Type.Optional(orNull(Type.Integer())),
      maxAttempts: Type.Optional(Type.Integer()),
      priority: Type.Optional(Type.Integer()),
      rerunAfterCrash: Type.Optional(Type.Boolean()),
      effect: effectSchema,
      seen: seenSchema,
    },
    {
      additionalProperties: false,
      examples: [{ params: { supplier: 'north', atOnce: 20 }, effect: 'restart', seen: { edits: 0, superseded: 0 } }, { graceMs: 3_000 }],
    },
  ),
  headers: Type.Object({ 'idempotency-key': Type.Optional(Type.String({ description: '1 to 255 letters, digits and signs.' })) }),
  response: { 200: editAnswer },
  errors: [400, 404, 409, 413, 415],
} as const

const reversalSchema = {
  summary: 'Bring back the params and limits from before a change',
  description: `Also where they were changed again since; as a change of its own. Other params also take the scope \`task:add:<action>\`. ${idempotencyNote}`,
  params: Type.Object({ ...taskParams.properties, n: Type.Integer({ minimum: 1, description: 'Number of the change within the task.' }) }),
  body: Type.Optional(
    Type.Object({ effect: effectSchema, seen: seenSchema }, { additionalProperties: false, examples: [{ effect: 'restart' }] }),
  ),
  headers: Type.Object({ 'idempotency-key': Type.Optional(Type.String({ description: '1 to 255 letters, digits and signs.' })) }),
  response: { 200: editAnswer },
  errors: [400, 404, 409, 413, 415, 422],
} as const
