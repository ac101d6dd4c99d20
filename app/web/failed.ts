import type { FastifyInstance, FastifyRequest } from 'fastify'
import { askRecovery } from '../api/ask-recovery.ts'
import { recoveryBounds } from '../api/recover-failed.ts'
import { redactionOf } from '../runs/redaction.ts'
import { presentFinal } from '../store/counters.ts'
import { findError, listErrors, type TaskError } from '../store/errors.ts'
import { findTask } from '../store/find-task.ts'
import { countFailed, type FailedFilter } from '../store/recover.ts'
import { isErrorKey } from '../task/error-pattern.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { WebError } from './error-pages.ts'
import { createExplainer } from './explained.ts'
import { fieldsOf } from './fields.ts'
import { type Panel, redirectWith } from './panel.ts'

const pageSize = 50
/** A page is not to wait longer for a count. */
const countMs = 30

/** What failed, by error; and retrying or discarding as many of them as a filter lets through. */
export const registerFailed = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background

  app.get('/core/bgtask/failed', async (request, reply) => {
    const { action = '', before = '' } = fieldsOf(request.query)
    const [, lastAt, key] = /^(\d{1,15})-([0-9a-f]{32})$/.exec(before) ?? []
    const errors = await listErrors(db, {
      limit: pageSize + 1,
      ...(action === '' ? {} : { action: action.slice(0, 160) }),
      ...(lastAt === undefined || key === undefined ? {} : { before: { lastAt: Number(lastAt), key } }),
    })
    const shown = errors.slice(0, pageSize)
    const last = shown.at(-1)
    const { failed } = await presentFinal(db.kysely)
    return reply.page('failed', {
      action,
      failed,
      errors: shown.map(error => shownError(panel, error)),
      isFirst: key === undefined,
      older: errors.length > pageSize && last ? addressOf(panel, { action, before: `${last.lastAt}-${last.key}` }) : null,
      newest: addressOf(panel, { action }),
      actions: (await panel.background.catalog()).entries.map(({ name }) => name),
      recovery: (act: string, filter: FailedFilter) => recoveryAddress(panel, act, filter),
      all: action === '' ? {} : { action },
    })
  })

  app.get('/core/bgtask/recovery', async (request, reply) => {
    const { act, filter } = wishOf(request.query)
    const { count, isAll, first } = await countFailed(db, filter, { ...recoveryBounds(act, Date.now()), withinMs: countMs })
    const error = filter.error === undefined ? null : await findError(db, filter.error)
    const explain = createExplainer(panel)
    const tasks = await Promise.all(first.map(id => findTask(db, id)))
    return reply.page('recovery', {
      act,
      filter,
      count,
      isAll,
      error: error && shownError(panel, error),
      examples: tasks.flatMap(task => (task ? [explain(task)] : [])),
    })
  })

  app.post('/core/bgtask/recovery', async (request, reply) => {
    const { act, filter } = wishOf(request.body)
    const { task } = await askRecovery(panel.background, act, filter, { by: request.user!.name, actor: actorOf(request) })
    panel.live.poke()
    const text = translate(request.language, `recovery.asked.${act}`)
    return redirectWith(request, reply, `${panel.root}/core/bgtask/${task.id}`, { tone: 'good', text })
  })
}

/** Where retrying or discarding these is looked at before it is done. */
export const recoveryAddress = ({ root }: Pick<Panel, 'root'>, act: string, filter: FailedFilter): string =>
  `${root}/core/bgtask/recovery?${new URLSearchParams({ do: act, ...filter })}`

const addressOf = ({ root }: Panel, fields: Record<string, string>) => {
  const text = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== '')).toString()
  return `${root}/core/bgtask/failed${text === '' ? '' : `?${text}`}`
}

const shownError = ({ config }: Panel, error: TaskError): TaskError => ({ ...error, sample: redactionOf(config).text(error.sample) })

const wishOf = (given: FastifyRequest['query']): { act: 'retry' | 'discard'; filter: FailedFilter } => {
  const { do: act, ...fields } = fieldsOf(given)
  if (act !== 'retry' && act !== 'discard') throw new WebError(422, 'error.recovery')
  const names = ['action', 'type', 'creator', 'error'] as const
  const filter = Object.fromEntries(names.flatMap(name => (fields[name] ? [[name, fields[name].slice(0, 160)]] : [])))
  if (filter.error !== undefined && !isErrorKey(filter.error)) throw new WebError(422, 'error.recovery')
  return { act, filter }
}
