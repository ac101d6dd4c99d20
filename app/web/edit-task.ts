import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { findAction } from '../api/check-task.ts'
import { existing } from '../api/control.ts'
import { changedMeanwhile, editTask, requireEditable, revertEdit } from '../api/edit-task.ts'
import { shownChanges } from '../api/shown-changes.ts'
import { BgtaskError } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { prefillParams, restoreParams } from '../secrets/prefill.ts'
import { createRedactor } from '../secrets/redactor.ts'
import { listEditMarks } from '../store/list-edits.ts'
import { type Edit, type EditEffect, limitsOfKind, type TaskTerms, termsOf } from '../task/edit.ts'
import { namesOf } from '../task/limits.ts'
import type { Json, Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import { tell } from '../texts/tell.ts'
import { type TextKey, translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOfTerms, readTerms, touchedIn, withPresentNames } from './edited-terms.ts'
import { fieldsOf } from './fields.ts'
import { type ParamsShape, paramsShape } from './kept-params.ts'
import { type Panel, redirectWith } from './panel.ts'
import { paramsFields } from './params-form.ts'
import { parseTaskId, taskIdOf } from './task-id.ts'

/** Other params and limits for a loop, or for a ONCE task that waits, and bringing back those from before. */
export const registerEditTask = (app: FastifyInstance, panel: Panel) => {
  const { background } = panel

  app.get('/core/bgtask/:id/edit', async (request, reply) => {
    const task = await existing(background, taskIdOf(request))
    const isJson = fieldsOf(request.query).as === 'json'
    return orTaskPage(panel, request, reply, task, () => {
      requireEditable(task)
      return form(panel, reply, task, { given: isJson ? { as: 'json' } : null })
    })
  })

  app.post('/core/bgtask/:id/edit', async (request, reply) => {
    const task = await existing(background, taskIdOf(request))
    const fields = fieldsOf(request.body)
    return orTaskPage(panel, request, reply, task, async () => {
      requireEditable(task)
      // Before the form is read: what it hides is called by the names that the task had then.
      if (fields.seen !== seenOf(task)) return changed(panel, request, reply, task, fields)
      try {
        return said(panel, request, reply, await editAsGiven(panel, request, task, fields))
      } catch (error) {
        if (!(error instanceof BgtaskError)) throw error
        if (error.code === 'refused') return form(panel, reply, task, { given: fields, problem: tell(request.language, error.sentence) })
        if (error.code === 'conflict') return changed(panel, request, reply, await existing(background, task.id), fields)
        throw error
      }
    })
  })

  app.post('/core/bgtask/:id/edits/:n/reversal', async (request, reply) => {
    const task = await existing(background, taskIdOf(request))
    const given = (request.params as { n: string }).n
    const n = parseTaskId(given)
    if (n === null) throw new BgtaskError('not-found', told`Task ${task.id} has no edit ${given.slice(0, 40)}, or it is kept no longer.`)
    return orTaskPage(panel, request, reply, task, async () => {
      // What would happen was told of the task as it was when the page was drawn.
      const isSeen = fieldsOf(request.query).seen === seenOf(task)
      if (!isSeen) throw changedMeanwhile(task)
      return said(
        panel,
        request,
        reply,
        await revertEdit(background, task, n, { actor: actorOf(request), effect: effectIn(fieldsOf(request.body)) }),
      )
    })
  })
}

/** By this a form knows again whether the task is as it was when the form was drawn. */
export const seenOf = ({ edits, superseded }: Pick<Task, 'edits' | 'superseded'>): string => `${edits}.${superseded}`

const editAsGiven = async (panel: Panel, request: FastifyRequest, task: Task, fields: Record<string, string>): Promise<Edit> => {
  const { prefill, shape } = await formOf(panel, task, fields)
  const given = readTerms(task, prefill.shown, shape, fields)
  const touched = touchedIn(prefill.shown, given)
  const params = restoreParams(given.params, prefill, redactionOf(panel.config).ofParams)
  const wish = { actor: actorOf(request), effect: effectIn(fields), touched }
  return editTask(panel.background, task, { ...given, params }, wish)
}

/** What of the task the form is made from. @throws BgtaskError `refused` when its action is not there, or does not load */
const formOf = async (panel: Panel, task: Task, fields: Record<string, string> | null) => {
  const entry = findAction(await panel.background.catalog(), task.action)
  const prefill = prefillParams(task.params, redactionOf(panel.config).ofParams(task.params))
  return { entry, prefill, shape: paramsShape(entry, prefill.shown, fields?.as === 'json') }
}

interface Shown {
  /** What was sent; null: the form is new. */
  given: Record<string, string> | null
  problem?: string
  /** Somebody else's change: who made it, and where it differs from what was sent. */
  conflict?: Conflict
}

interface Conflict {
  by: string | null
  at: number | null
  /** From what the task has now to what was sent; null: what was sent cannot be read. */
  differences: ReturnType<typeof shownChanges> | null
}

const form = async (panel: Panel, reply: FastifyReply, task: Task, { given, problem, conflict }: Shown) => {
  const { entry, prefill, shape } = await formOf(panel, task, given)
  const { shown } = prefill
  const isNew = given === null || given.seen === undefined
  const fields = isNew ? { ...fieldsOfTerms(task, shown), ...given } : given
  return reply.page(
    'edit-task',
    {
      task: redactionOf(panel.config).task(task),
      entry,
      problem: problem ?? null,
      conflict: conflict ?? null,
      seen: seenOf(task),
      shape,
      asJson: shape.schema === null,
      fields: shape.schema === null ? null : paramsFields(shape.schema, fields),
      paramsText: fields.params ?? '{}',
      values: fields,
      limits: limitsOfKind(task),
      ofAction: entry.limits ? namesOf(entry.limits) : null,
      mayRestart: mayRestart(task),
      effect: fields.effect === 'next' ? 'next' : 'restart',
    },
    conflict ? 409 : problem ? 422 : 200,
  )
}

/** Somebody was quicker: nothing is stored, and nothing of what was typed is lost. */
const changed = async (panel: Panel, request: FastifyRequest, reply: FastifyReply, task: Task, fields: Record<string, string>) => {
  requireEditable(task)
  const {
    prefill: { shown },
    shape,
  } = await formOf(panel, task, fields)
  const [last] = await listEditMarks(panel.background.db, task.id, 1)
  const given = withPresentNames(shape.schema, shown, fields)
  const conflict: Conflict = { by: last?.by ?? null, at: last?.at ?? null, differences: differencesOf(task, shown, shape, given) }
  return form(panel, reply, task, { given, problem: tell(request.language, changedMeanwhile(task).sentence), conflict })
}

const differencesOf = (task: Task, shown: Json, shape: ParamsShape, fields: Record<string, string>): Conflict['differences'] => {
  const now: TaskTerms = { ...termsOf(task), params: shown }
  try {
    return shownChanges(now, readTerms(task, shown, shape, fields), { redactor: createRedactor([]) })
  } catch {
    return null
  }
}

/** Only what is wanted up can get a fresh process. */
export const mayRestart = ({ execType, wanted }: Pick<Task, 'execType' | 'wanted'>) => execType === 'FOREVER' && wanted === 'up'

const effectIn = (fields: Record<string, string>): EditEffect => (fields.effect === 'restart' ? 'restart' : 'next')

const said = (panel: Panel, request: FastifyRequest, reply: FastifyReply, { taskId, effect, revertOf }: Edit) => {
  panel.live.poke()
  const key: TextKey = revertOf === null ? `edited.done.${effect}` : `edited.reverted.${effect}`
  const text = translate(request.language, key, { id: String(taskId) })
  return redirectWith(request, reply, `${panel.root}/core/bgtask/${taskId}#edits-title`, { tone: 'good', text })
}

/** What its state does not allow is said where the task is. */
const orTaskPage = async (panel: Panel, request: FastifyRequest, reply: FastifyReply, task: Task, work: () => unknown) => {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof BgtaskError) || !['busy', 'refused', 'conflict'].includes(error.code)) throw error
    return redirectWith(request, reply, `${panel.root}/core/bgtask/${task.id}`, {
      tone: 'bad',
      text: tell(request.language, error.sentence),
    })
  }
}
