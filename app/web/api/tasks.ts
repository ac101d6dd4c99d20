import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { audited } from '../../api/audited.ts'
import { cancelByKey, cancelTask, holderOf, restartTask, retryTask, startTask, stopTask } from '../../api/control.ts'
import { taskGiven } from '../../api/task-given.ts'
import { tokenActor } from '../../api/tokens.ts'
import { BgtaskError } from '../../errors.ts'
import { redactionOf } from '../../runs/redaction.ts'
import { findTaskByKey } from '../../store/find-task.ts'
import { listRuns } from '../../store/list-runs.ts'
import { listTasks } from '../../store/list-tasks.ts'
import type { Task } from '../../task/task.ts'
import { actorOf } from '../actor.ts'
import type { Panel } from '../panel.ts'
import type { Api } from './register.ts'
import { oneOf, orNull, runSchema, taskAnswer, taskParams, taskSchema, taskState } from './schemas.ts'
import { createTeller } from './tell-task.ts'

const runsToldOf = 10

/** Looking at tasks, and acting on them. A task is named by its id or its uid. */
export const registerTasksApi = (api: Api, panel: Panel) => {
  const { background } = panel

  api.get('/tasks', { schema: listSchema }, async ({ query }) => {
    const { unique, state, limit = 50, after, before, ...filter } = query
    if (after !== undefined && before !== undefined) throw new BgtaskError('refused', 'Both after and before are given; give one of them.')
    if (unique !== undefined) return holderPage(panel, query, unique)
    const start = before !== undefined ? { before } : after !== undefined ? { after } : {}
    const page = await listTasks(background.db, { ...filter, ...(state ? { states: state } : {}) }, { limit, ...start })
    const tell = createTeller(panel)
    return { tasks: page.tasks.map(task => tell(task)), newer: page.newer, older: page.older }
  })

  api.get('/tasks/:id', { schema: taskSchemaOf }, async ({ params }) => {
    const task = await taskGiven(background, params.id)
    const runs = await listRuns(background.db, task.id, { limit: runsToldOf })
    const shown = runs.map(run => redactionOf(panel.config).run(run, task))
    return { task: createTeller(panel)(task, runs.find(run => run.endedAt !== null) ?? null), runs: shown }
  })

  api.get('/tasks/:id/runs', { schema: runsSchema }, async ({ params, query: { limit = 50, before } }) => {
    const task = await taskGiven(background, params.id)
    const found = await listRuns(background.db, task.id, { limit: limit + 1, ...(before === undefined ? {} : { before }) })
    const runs = found.slice(0, limit).map(run => redactionOf(panel.config).run(run, task))
    return { runs, older: found.length > limit ? runs.at(-1)!.number : null }
  })

  const act = async (request: FastifyRequest, noun: Noun, { id, action }: Task) => {
    const done = await audited(background.db, actorOf(request), { act: `task-${noun}`, subject: String(id), detail: action }, () =>
      acts[noun].act(background, id, tokenActor(request.token!), actorOf(request).reach),
    )
    panel.live.poke()
    return { task: createTeller(panel)(done) }
  }
  for (const [noun, { summary, description }] of Object.entries(acts) as [Noun, (typeof acts)[Noun]][]) {
    const schema = { summary, description, params: taskParams, response: { 200: taskAnswer }, errors: [404, 409, 422] } as const
    api.post(`/tasks/:id/${noun}`, { schema }, async request => act(request, noun, await taskGiven(background, request.params.id)))
  }

  api.post('/tasks/cancellation', { schema: cancelByKeySchema }, async request => {
    const { unique } = request.body
    const holder = await holderOf(background, unique)
    const noted = { act: 'task-cancellation', subject: String(holder.id), detail: `${holder.action}, by its unique key` }
    const done = await audited(background.db, actorOf(request), noted, () => cancelByKey(background, unique, tokenActor(request.token!)))
    panel.live.poke()
    return { task: createTeller(panel)(done) }
  })
}

const acts = {
  start: { act: startTask, summary: 'Start a loop', description: 'It is kept up until it is stopped.' },
  stop: { act: stopTask, summary: 'Stop a loop', description: 'It ends after its current iteration and stays down.' },
  restart: { act: restartTask, summary: 'Give a loop a fresh process', description: 'Also when it backs off or is tripped.' },
  cancellation: {
    act: cancelTask,
    summary: 'Cancel a task',
    description:
      'One that waits is cancelled at once; of one that runs the run is stopped, and the answer does not wait for its end. A loop is stopped.',
  },
  retry: {
    act: retryTask,
    summary: 'Run an ended task again',
    description: 'It waits again, with all its tries, and is due now. A loop gets a fresh process.',
  },
}
type Noun = keyof typeof acts

const cursor = (what: string) =>
  Type.Optional(Type.String({ maxLength: 40, description: `The page of ${what} ones: the value of another answer.` }))
const limit = (most: number) => Type.Optional(Type.Integer({ minimum: 1, maximum: most, default: 50, description: 'How many at most.' }))

const listSchema = {
  summary: 'List tasks, newest first',
  description:
    'Pages by cursor: `older` and `newer` of an answer are `after` and `before` of the next. All filters that are given must hold.',
  querystring: Type.Object(
    {
      state: Type.Optional(Type.Array(taskState, { description: 'One or more, with commas.', examples: [['waiting', 'running']] })),
      execType: Type.Optional(oneOf(['ONCE', 'FOREVER'])),
      action: Type.Optional(Type.String({ maxLength: 160 })),
      type: Type.Optional(Type.String({ maxLength: 64 })),
      creator: Type.Optional(Type.String({ maxLength: 64 })),
      unique: Type.Optional(
        Type.String({ minLength: 1, maxLength: 255, description: 'The task that holds this unique key now: one, or none.' }),
      ),
      limit: limit(200),
      after: cursor('older'),
      before: cursor('newer'),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      { tasks: Type.Array(taskSchema), newer: orNull(Type.String()), older: orNull(Type.String()) },
      { additionalProperties: false },
    ),
  },
} as const

const taskSchemaOf = {
  summary: 'A task and its newest runs',
  params: taskParams,
  response: { 200: Type.Object({ task: taskSchema, runs: Type.Array(runSchema) }, { additionalProperties: false }) },
  errors: [404],
} as const

const runsSchema = {
  summary: 'The runs of a task, newest first',
  params: taskParams,
  querystring: Type.Object(
    { limit: limit(1_000), before: Type.Optional(Type.Integer({ minimum: 1, description: '`older` of another answer.' })) },
    { additionalProperties: false },
  ),
  response: { 200: Type.Object({ runs: Type.Array(runSchema), older: orNull(Type.Integer()) }, { additionalProperties: false }) },
  errors: [404],
} as const

const cancelByKeySchema = {
  summary: 'Cancel the task that holds a unique key',
  body: Type.Object(
    { unique: Type.String({ minLength: 1, maxLength: 255 }) },
    { additionalProperties: false, examples: [{ unique: 'teacher:17' }] },
  ),
  response: { 200: taskAnswer },
  errors: [400, 404, 409, 413, 415],
} as const

/** The holder of a key is one task or none; the other filters hold for it as well. */
const holderPage = async (
  panel: Panel,
  { state, execType, action, type, creator }: { state?: string[]; execType?: string; action?: string; type?: string; creator?: string },
  unique: string,
) => {
  const holder = await findTaskByKey(panel.background.db, unique)
  const fits = (wanted: string | undefined, is: string) => wanted === undefined || wanted === is
  const isMeant =
    holder &&
    (state === undefined || state.includes(holder.state)) &&
    fits(execType, holder.execType) &&
    fits(action, holder.action) &&
    fits(type, holder.type) &&
    fits(creator, holder.creator)
  return { tasks: isMeant ? [createTeller(panel)(holder)] : [], newer: null, older: null }
}
