import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { askBulk, askUndo, bulkFilter, canUndo } from '../api/ask-bulk.ts'
import { countMatching } from '../api/matching-tasks.ts'
import { BgtaskError } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { type BulkAct, bulkActs, findBulk, sliceItems } from '../store/bulk.ts'
import { findTask, newestTaskId } from '../store/find-task.ts'
import type { TaskFilter } from '../store/list-tasks.ts'
import { bulkAction } from '../task/core-actions.ts'
import { isFinal } from '../task/task.ts'
import { tell } from '../texts/tell.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { WebError } from './error-pages.ts'
import { createExplainer } from './explained.ts'
import { fieldsOf } from './fields.ts'
import { beatOf } from './overview.ts'
import { type Panel, redirectWith } from './panel.ts'
import { type ChosenTasks, chosenFields, readTaskFilter } from './task-filter.ts'
import { taskIdOf } from './task-id.ts'

/** A page is not to wait longer for a count. */
const countMs = 30

/** A look at what would be done is worth so long: then what it told may have become wrong. */
const previewMs = 15 * 60_000

/** Doing one thing to all tasks that the filter of a list lets through: looked at first, then done by a task of its own, undone where that is possible. */
export const registerBulk = (app: FastifyInstance, panel: Panel) => {
  const { background } = panel

  app.get('/core/bgtask/bulk', async (request, reply) => {
    const { act, chosen, filter } = wishOf(request.query)
    const upTo = await newestTaskId(background.db)
    const { count, isAll, first } =
      filter === null
        ? { count: 0, isAll: true, first: [] }
        : await countMatching(panel.config, background.db, filter, { before: upTo + 1, withinMs: countMs })
    const explain = createExplainer(panel)
    const tasks = await Promise.all(first.map(id => findTask(background.db, id)))
    const preview: Preview = { upTo, count, isAll, at: Date.now() }
    return reply.page('bulk', {
      ...{ act, chosen, count, isAll },
      canUndo: canUndo(act),
      isOfLoops: isLoopAct(act),
      isDanger: isDanger(act),
      fields: chosenFields(chosen),
      examples: tasks.flatMap(task => (task ? [explain(task)] : [])),
      preview: writePreview(preview),
      signature: signatureOf(panel, request, act, chosen, preview),
      list: listAddress(panel, chosen),
    })
  })

  app.post('/core/bgtask/bulk', async (request, reply) => {
    const { act, chosen, filter } = wishOf(request.body)
    const { preview: given = '', signature = '' } = fieldsOf(request.body)
    const preview = readPreview(given)
    const isGood = preview !== null && isSame(signature, signatureOf(panel, request, act, chosen, preview))
    if (!isGood || filter === null || preview.count === 0) throw new WebError(422, 'error.bulk')
    if (Date.now() - preview.at > previewMs)
      return redirectWith(request, reply, bulkAddress(panel, act, chosen), {
        tone: 'plain',
        text: translate(request.language, 'bulk.tooOld'),
      })
    const { upTo, count, isAll } = preview
    const asked = { act, filter, upTo, expected: count, isAll }
    const task = await askBulk(background, asked, { by: request.user!.name, actor: actorOf(request) })
    panel.live.poke()
    return reply.redirect(`${panel.root}/core/bgtask/bulk/${task.id}`, 303)
  })

  app.get('/core/bgtask/bulk/:id', async (request, reply) => reply.page('bulk-done', await bulkModel(panel, taskIdOf(request))))

  app.post('/core/bgtask/bulk/:id/undo', async (request, reply) => {
    const id = taskIdOf(request)
    try {
      const task = await askUndo(background, id, { by: request.user!.name, actor: actorOf(request) })
      panel.live.poke()
      return reply.redirect(`${panel.root}/core/bgtask/bulk/${task.id}`, 303)
    } catch (error) {
      if (!(error instanceof BgtaskError) || (error.code !== 'busy' && error.code !== 'refused')) throw error
      const text = tell(request.language, error.sentence)
      return redirectWith(request, reply, `${panel.root}/core/bgtask/bulk/${id}`, { tone: 'bad', text })
    }
  })
}

/** How far an act on many tasks is, and what became of it. */
export const bulkModel = async (panel: Pick<Panel, 'config' | 'background'>, id: number) => {
  const { db } = panel.background
  const [bulk, stored] = await Promise.all([findBulk(db, id), findTask(db, id)])
  if (!bulk || stored?.action !== bulkAction) throw new WebError(404, 'error.notFound')
  const explained = createExplainer(panel)(stored)
  const hasItems = canUndo(bulk.act) && (await sliceItems(db, id, { after: 0, atOnce: 1 })).length > 0
  return {
    ...explained,
    bulk,
    isOfLoops: isLoopAct(bulk.act),
    filter: Object.entries(shownFilter(panel, bulk.filter)),
    beat: stored.state === 'running' ? beatOf(panel, stored) : null,
    mayUndo: hasItems && bulk.undoOf === null && bulk.undoneBy === null && isFinal(stored.state),
    canUndo: canUndo(bulk.act) && bulk.undoOf === null,
  }
}

/** What a list offers for all that it shows. */
export const bulkLinks = (panel: Pick<Panel, 'root'>, chosen: ChosenTasks, filter: TaskFilter) =>
  bulkActs
    .filter(act => isLoopAct(act) === (chosen.exec_type === 'FOREVER') && bulkFilter(act, filter) !== null)
    .map(act => ({ act, href: bulkAddress(panel, act, chosen), isDanger: isDanger(act) }))

const isLoopAct = (act: BulkAct) => act === 'start' || act === 'stop' || act === 'restart'
const isDanger = (act: BulkAct) => act === 'deletion' || act === 'cancellation' || act === 'stop'

const bulkAddress = ({ root }: Pick<Panel, 'root'>, act: BulkAct, chosen: ChosenTasks): string =>
  `${root}/core/bgtask/bulk?${new URLSearchParams([['do', act], ...chosenFields(chosen)])}`

const listAddress = ({ root }: Pick<Panel, 'root'>, chosen: ChosenTasks): string => {
  const query = new URLSearchParams(chosenFields(chosen)).toString()
  return `${root}/core/bgtask${query === '' ? '' : `?${query}`}`
}

/** @returns filter: null when no task can be like that */
const wishOf = (given: FastifyRequest['query']): { act: BulkAct; chosen: ChosenTasks; filter: TaskFilter | null } => {
  const wish = fieldsOf(given).do
  const act = bulkActs.find(known => known === wish)
  const { chosen, filter, unknown } = readTaskFilter(given)
  if (act === undefined || unknown !== null) throw new WebError(422, 'error.bulk')
  return { act, chosen, filter: bulkFilter(act, filter) }
}

/** What a person was shown before they agreed. */
interface Preview {
  upTo: number
  count: number
  isAll: boolean
  at: number
}

const writePreview = ({ upTo, count, isAll, at }: Preview) => [upTo, count, isAll ? 1 : 0, at].join('-')

const readPreview = (given: string): Preview | null => {
  const [, upTo, count, isAll, at] = /^(\d{1,15})-(\d{1,15})-([01])-(\d{1,15})$/.exec(given) ?? []
  return at === undefined ? null : { upTo: Number(upTo), count: Number(count), isAll: isAll === '1', at: Number(at) }
}

/** Binds what is agreed to to what was shown, and to whom. */
const signatureOf = ({ secret }: Panel, request: FastifyRequest, act: BulkAct, chosen: ChosenTasks, preview: Preview): string =>
  createHmac('sha256', secret)
    .update(`bulk ${JSON.stringify([request.user?.id, act, chosenFields(chosen), writePreview(preview)])}`)
    .digest('base64url')

/** @param given hostile */
const isSame = (given: string, expected: string): boolean => {
  const [left, right] = [Buffer.from(given), Buffer.from(expected)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** The conditions that a person chose, by the names of their fields. */
const shownFilter = ({ config }: Pick<Panel, 'config'>, { action, type, creator, uniqueKey, text, scheduleId, error }: TaskFilter) => {
  const given = { action, type, creator, unique: uniqueKey, text, schedule: scheduleId, error }
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, redactionOf(config).text(String(value))]])),
  )
}
