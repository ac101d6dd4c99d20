import type { FastifyInstance, FastifyReply } from 'fastify'
import { moment, type TaskOptions } from '../api/check-options.ts'
import type { ActionEntry } from '../catalog/catalog.ts'
import { ownFirst } from '../catalog/own-first.ts'
import { commandAction } from '../commands/command-name.ts'
import { BgtaskError } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { prefillParams, restoreParams } from '../secrets/prefill.ts'
import { findTask } from '../store/find-task.ts'
import type { Json, Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import type { Language } from '../texts/format.ts'
import { tell } from '../texts/tell.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { commandPath } from './commands.ts'
import { fieldsOf } from './fields.ts'
import { paramsShape, readKeptParams, schemaDrawn } from './kept-params.ts'
import { delayField, numberField } from './number-field.ts'
import { type Panel, redirectWith } from './panel.ts'
import { fieldsFromParams, paramsFields, readParams } from './params-form.ts'
import { readRerun, rerunFields } from './rerun-field.ts'
import { parseTaskId } from './task-id.ts'

/** Adding a task: first the action, then a form made from its schema. */
export const registerNewTask = (app: FastifyInstance, panel: Panel) => {
  const { background } = panel

  app.get('/core/bgtask/new', async (request, reply) => {
    const { action, like } = fieldsOf(request.query)
    const likeId = parseTaskId(like ?? '')
    const model = likeId === null ? null : await findTask(background.db, likeId)
    // A command has a form of its own, which shows what will run.
    if (model?.action === commandAction) return reply.redirect(panel.root + commandPath(model), 303)
    if (action === commandAction) return reply.redirect(`${panel.root}/core/commands`, 303)
    const { entries, refused } = await background.catalog()
    const entry = entries.find(({ name }) => name === (model?.action ?? action))
    if (!entry) return reply.page('new-task-choice', { entries: ownFirst(entries), refused, asked: action ?? null })
    if (!model) return form(reply, entry, null, null)
    const { priority, maxAttempts, timeoutMs, graceMs } = model
    const { type, creator } = redactionOf(panel.config).task(model)
    const { shown } = prefillOf(panel, model)
    return form(reply, entry, null, {
      like: String(model.id),
      ...(paramsShape(entry, shown, false).mayBeFields ? {} : { as: 'json' }),
      ...fieldsFromParams(shown),
      exec_type: model.execType,
      type,
      creator,
      priority: String(priority),
      max_attempts: String(maxAttempts),
      timeout_s: timeoutMs === null ? '' : String(timeoutMs / 1000),
      grace_s: String(graceMs / 1000),
      ...rerunFields(model),
    })
  })

  app.post('/core/bgtask', async (request, reply) => {
    const fields = fieldsOf(request.body)
    const entry = (await background.catalog()).get(fields.action ?? '')
    if (!entry)
      throw new BgtaskError(
        'refused',
        told`There is no action ${JSON.stringify((fields.action ?? '').slice(0, 140))}; choose one of the list.`,
      )
    if (entry.name === commandAction) return reply.redirect(`${panel.root}/core/commands`, 303)
    const by = request.user!.name
    try {
      const options = readOptions(fields, by, request.language)
      const wish = { action: entry.name, params: await paramsGiven(panel, entry, fields), options }
      const [stored] = await background.storeTasks([wish], { by, actor: actorOf(request) })
      const { task, added } = stored!
      const id = String(task.id)
      if (added) panel.live.poke()
      const text = translate(request.language, added ? 'new.added' : 'new.kept', { id })
      return redirectWith(request, reply, `${panel.root}/core/bgtask/${id}`, { tone: added ? 'good' : 'plain', text })
    } catch (error) {
      if (error instanceof BgtaskError && (error.code === 'refused' || error.code === 'conflict'))
        return form(reply, entry, tell(request.language, error.sentence), fields)
      throw error
    }
  })
}

/** A task's params to begin a form with: in place of each secret stands what means "as before" when it comes back. */
const prefillOf = (panel: Panel, { params }: Pick<Task, 'params'>) => prefillParams(params, redactionOf(panel.config).ofParams(params))

/** What the form says; where a secret was left as it stood, it is that of the task which the form began with. */
const paramsGiven = async (panel: Panel, entry: ActionEntry, fields: Record<string, string>): Promise<Json> => {
  const schema = schemaDrawn(entry, fields)
  const likeId = parseTaskId(fields.like ?? '')
  const model = likeId === null ? null : await findTask(panel.background.db, likeId)
  // Another action could do with them what it likes.
  if (model?.action !== entry.name) return readParams(schema, fields)
  const prefill = prefillOf(panel, model)
  return restoreParams(readKeptParams(schema, prefill.shown, fields), prefill, redactionOf(panel.config).ofParams)
}

const form = (reply: FastifyReply, entry: ActionEntry, problem: string | null, given: Record<string, string> | null) => {
  const fields: Record<string, string> = given ?? {}
  const inSeconds = (ms: number | null) => (ms === null ? '' : String(ms / 1000))
  const text = (name: string, standard: string) => fields[name] ?? standard
  const isOpen =
    ['unique', 'timeout_s', 'grace_s', 'priority'].some(name => given !== null && text(name, '') !== '') || readRerun(fields) === false
  const shownFields = paramsFields(schemaDrawn(entry, fields), given)
  return reply.page(
    'new-task',
    {
      entry,
      problem,
      isOpen,
      fields: shownFields,
      onlyJson: shownFields === null && paramsFields(entry.paramsSchema, null) !== null,
      paramsText: text('params', '{}'),
      like: parseTaskId(fields.like ?? ''),
      values: {
        exec_type: text('exec_type', entry.execType ?? 'ONCE'),
        type: text('type', ''),
        creator: text('creator', ''),
        when: text('when', 'now'),
        delay: text('delay', '10'),
        delay_unit: text('delay_unit', 'minutes'),
        at: text('at', ''),
        priority: text('priority', '0'),
        unique: text('unique', ''),
        on_conflict: text('on_conflict', 'keep'),
        max_attempts: text('max_attempts', String(entry.maxAttempts ?? 1)),
        timeout_s: text('timeout_s', inSeconds(entry.timeoutMs)),
        grace_s: text('grace_s', inSeconds(entry.graceMs)),
        rerun: readRerun(fields) === false ? '' : 'on',
      },
    },
    problem === null ? 200 : 422,
  )
}

const unitsMs = { seconds: 1000, minutes: 60_000, hours: 3_600_000, days: 86_400_000 } as const

const readOptions = (fields: Record<string, string>, by: string, language: Language): TaskOptions => {
  const given = (name: string) => (fields[name] ?? '').trim()
  const options: TaskOptions = { type: given('type'), creator: given('creator') || by }
  const isLoop = given('exec_type') === 'FOREVER'
  if (isLoop) options.execType = 'FOREVER'
  if (!isLoop && given('when') === 'in') {
    const unit = given('delay_unit') in unitsMs ? (given('delay_unit') as keyof typeof unitsMs) : 'minutes'
    const delayMs = delayField(fields.delay, unitsMs[unit])
    if (delayMs === undefined) throw new BgtaskError('refused', translate(language, 'new.delayMissing'))
    options.delayMs = delayMs
  }
  if (!isLoop && given('when') === 'at') options.runAt = instantOf(given('at_instant') || given('at'), language)
  if (given('unique') !== '') Object.assign(options, { unique: given('unique'), onConflict: given('on_conflict') || 'keep' })
  const [priority, maxAttempts] = [numberField(fields, 'priority'), numberField(fields, 'max_attempts')]
  const graceMs = numberField(fields, 'grace_s')
  if (priority !== undefined) options.priority = priority
  if (maxAttempts !== undefined) options.maxAttempts = maxAttempts
  options.timeoutMs = numberField(fields, 'timeout_s') ?? null
  if (graceMs !== undefined) options.graceMs = graceMs
  const rerunAfterCrash = readRerun(fields)
  if (rerunAfterCrash !== undefined) options.rerunAfterCrash = rerunAfterCrash
  return options
}

/** A field for date and time says nothing of a zone: without script it is UTC, and the page says so. */
const instantOf = (text: string, language: Language): number => {
  if (text === '') throw new BgtaskError('refused', translate(language, 'new.atMissing'))
  const withSeconds = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(text) ? `${text}:00` : text
  const instant = /(Z|[+-]\d{2}:\d{2})$/.test(withSeconds) ? withSeconds : `${withSeconds}Z`
  try {
    return moment('at', instant)
  } catch (error) {
    throw new BgtaskError('refused', translate(language, 'new.atWrong', { given: text.slice(0, 60) }), { cause: error })
  }
}
