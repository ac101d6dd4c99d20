import type { FastifyInstance, FastifyRequest } from 'fastify'
import { audited } from '../../api/audited.ts'
import { cancelTask, restartTask, retryTask, startTask, stopTask } from '../../api/control.ts'
import { coversScope } from '../../api/scopes.ts'
import { showValue } from '../../api/show-value.ts'
import { taskGiven } from '../../api/task-given.ts'
import { tokenActor } from '../../api/tokens.ts'
import { actionName } from '../../catalog/scan-actions.ts'
import { BgtaskError } from '../../errors.ts'
import { redactionOf } from '../../runs/redaction.ts'
import { findTaskByKey } from '../../store/find-task.ts'
import { listRuns } from '../../store/list-runs.ts'
import type { Message } from '../../task/explain.ts'
import type { Run } from '../../task/run.ts'
import type { Task } from '../../task/task.ts'
import { type TextKey, translate } from '../../texts/translate.ts'
import { actorOf } from '../actor.ts'
import { lacksScope } from '../bearer.ts'
import { createExplainer } from '../explained.ts'
import type { Panel } from '../panel.ts'
import { readTaskWishes } from './task-wish.ts'

const runsToldOf = 10

/** Adding tasks, looking at one, and acting on it. A task is named by its id or its uid. */
export const registerTasksApi = (api: FastifyInstance, panel: Panel) => {
  const { background } = panel

  api.post('/tasks', async (request, reply) => {
    const wishes = await readTaskWishes(request.body)
    const { scopes, name } = request.token!
    const outside = wishes.find(({ action }) => !coversScope(scopes, { kind: 'task:add', action }))
    if (outside) return lacksScope(reply, actionName.test(outside.action) ? `task:add:${outside.action}` : 'task:add:<action>')
    for (const { options } of wishes) if (options?.unique) await requireOwnHolder(panel, scopes, options.unique)
    const by = tokenActor(request.token!)
    const withCreator = wishes.map(wish => ({ ...wish, options: { creator: name, ...wish.options } }))
    const stored = await background.storeTasks(withCreator, { by, actor: actorOf(request) })
    panel.live.poke()
    // Of another action after all: one that came in this very moment.
    const strange = stored.find(({ task, added }) => !added && !mayKnow(scopes, task))
    if (strange) throw heldByAnother(strange.task.uniqueKey)
    const explain = explainer(panel)
    const answers = stored.map(({ task, added, replaced }) => ({ task: explain(task), added, replaced }))
    reply.code(stored.some(({ added }) => added) ? 201 : 200)
    if (Array.isArray(request.body)) return { tasks: answers }
    return reply.header('location', `/api/v1/tasks/${stored[0]!.task.id}`).send(answers[0])
  })

  api.get('/tasks/:id', async request => {
    const task = await taskNamed(panel, request)
    const runs = await listRuns(background.db, task.id, { limit: runsToldOf })
    const shown = runs.map(run => redactionOf(panel.config).run(run, task))
    return { task: explainer(panel)(task, runs.find(run => run.endedAt !== null) ?? null), runs: shown }
  })

  const acts = { start: startTask, stop: stopTask, restart: restartTask, cancellation: cancelTask, retry: retryTask }
  for (const [noun, act] of Object.entries(acts)) {
    api.post(`/tasks/:id/${noun}`, async request => {
      requireNoBody(request)
      const { id, action } = await taskNamed(panel, request)
      const task = await audited(background.db, actorOf(request), { act: `task-${noun}`, subject: String(id), detail: action }, () =>
        act(background, id, tokenActor(request.token!)),
      )
      panel.live.poke()
      return { task: explainer(panel)(task) }
    })
  }
}

/** With a unique key a task may be shown, or replaced, that somebody else added: no further than the token reaches. */
const requireOwnHolder = async ({ background: { db } }: Panel, scopes: readonly string[], key: string) => {
  const holder = await findTaskByKey(db, key)
  if (holder && !coversScope(scopes, { kind: 'task:add', action: holder.action })) throw heldByAnother(key)
}

const mayKnow = (scopes: readonly string[], { action }: Task) =>
  coversScope(scopes, { kind: 'task:add', action }) || coversScope(scopes, { kind: 'task:read' })

const heldByAnother = (key: string | null) =>
  new BgtaskError(
    'conflict',
    `The unique key ${showValue(key)} is held by a task of an action that this token may not add; nothing is stored.`,
  )

/** These routes take no more than their address says. @throws BgtaskError `refused` */
export const requireNoBody = ({ body }: FastifyRequest): void => {
  if (body === undefined || (typeof body === 'object' && body !== null && !Array.isArray(body) && Object.keys(body).length === 0)) return
  throw new BgtaskError('refused', `The body is ${showValue(body)}; this address takes none.`)
}

const taskNamed = (panel: Panel, request: FastifyRequest): Promise<Task> =>
  taskGiven(panel.background, (request.params as { id: string }).id)

/** A task as it is told: its row, the state that is so, and why, in sentences. */
const explainer = (panel: Panel) => {
  const explain = createExplainer(panel)
  const now = Date.now()
  const say = (message: Message | null) => (message === null ? null : translate('en', message.key as TextKey, message.values, now))
  return (task: Task, lastRun: Run | null = null) => {
    const { task: shown, why, end, next } = explain(task, lastRun)
    return { ...shown, why: say(why), end: say(end), next: say(next) }
  }
}
