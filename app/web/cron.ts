import type { FastifyInstance, FastifyRequest } from 'fastify'
import { askCron } from '../api/ask-cron.ts'
import { audited } from '../api/audited.ts'
import { showValue } from '../api/show-value.ts'
import { cronFacts } from '../cron/cron-facts.ts'
import { queueName } from '../cron/module-facts.ts'
import { BgtaskError } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { redactJson } from '../secrets/redact-json.ts'
import { setCronEvery } from '../store/cron.ts'
import { discardAside, findItem, listAside, queueStand, returnAllAside, returnAside } from '../store/queues.ts'
import { cronEveryChoices } from '../task/cron-rules.ts'
import { told } from '../task/told.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { cronModel, crontabLines } from './cron-model.ts'
import { fieldsOf } from './fields.ts'
import { type Flash, type Panel, redirectWith } from './panel.ts'
import { originsOf } from './request-class.ts'
import { parseTaskId } from './task-id.ts'

const page = '/config/system/cron'
const onPage = 50

/** Cron: hooks and queues, how they fared, and the ways to run it. */
export const registerCron = (app: FastifyInstance, panel: Panel) => {
  const { config, background } = panel
  const { db } = background
  const at = `${panel.root}${page}`

  app.get(page, async (request, reply) =>
    reply.page('cron', {
      ...(await cronModel(panel)),
      choices: cronEveryChoices,
      lines: crontabLines(config, `${config.publicUrl ?? originsOf(request, null)[0]!}${panel.top}`),
    }),
  )

  app.post(page, async (request, reply) => {
    const { added } = await askCron(background, { creator: request.user!.name, actor: actorOf(request) })
    panel.live.poke()
    return redirectWith(request, reply, at, say(request, added ? 'cron.asked' : 'cron.askedBefore', added ? 'good' : 'plain'))
  })

  app.post(`${page}/settings`, async (request, reply) => {
    const given = fieldsOf(request.body).every_ms ?? ''
    const everyMs = cronEveryChoices.find(choice => String(choice) === given)
    if (everyMs === undefined) {
      const allowed = cronEveryChoices.join(', ')
      throw new BgtaskError('refused', told`Run cron every is ${showValue(given)}; allowed are ${allowed} milliseconds.`)
    }
    await audited(db, actorOf(request), { act: 'cron-every', subject: everyMs === 0 ? 'never' : `${everyMs / 3_600_000} h` }, () =>
      setCronEvery(db, everyMs),
    )
    return redirectWith(request, reply, at, say(request, 'cron.saved', 'good'))
  })

  app.get(`${page}/queues/:name`, async (request, reply) => {
    const name = queueNamed(request)
    const before = placeOf(fieldsOf(request.query).before)
    const [stand, found, { queues }] = await Promise.all([
      queueStand(db, name),
      listAside(db, name, { limit: onPage + 1, ...(before ? { before } : {}) }),
      cronFacts(config),
    ])
    const queue = queues.find(one => one.name === name) ?? null
    if (queue === null && stand.waiting + stand.aside === 0)
      throw new BgtaskError('not-found', told`There is no queue ${name}, and no item of it.`)
    const items = found.slice(0, onPage).map(item => {
      const redactor = redactionOf(config).ofParams(item.data)
      return {
        ...item,
        shown: JSON.stringify(redactJson(item.data, redactor), null, 2),
        error: item.error === null ? null : redactor.text(item.error),
      }
    })
    const last = items.at(-1)
    const older = found.length > onPage && last ? `${last.asideAt}-${last.id}` : null
    return reply.page('cron-queue', { name, queue, stand, items, older, isFirst: before === null })
  })

  app.post(`${page}/queues/:name/return`, async (request, reply) => {
    const name = queueNamed(request)
    const n = await audited(db, actorOf(request), { act: 'queue-returned', subject: name }, () => returnAllAside(db, name, Date.now()))
    return redirectWith(request, reply, `${at}/queues/${name}`, say(request, 'cron.returnedAll', 'good', { n }))
  })

  for (const act of ['return', 'discard'] as const) {
    app.post(`${page}/items/:id/${act}`, async (request, reply) => {
      const item = await itemNamed(panel, request)
      const did = await audited(db, actorOf(request), { act: `item-${act}ed`, subject: String(item.id), detail: item.queue }, () =>
        act === 'return' ? returnAside(db, item.id, Date.now()) : discardAside(db, item.id),
      )
      if (!did)
        throw new BgtaskError(
          'busy',
          told`Item ${item.id} of ${item.queue} is not set aside any more, so nothing was done. Look at the queue again.`,
        )
      return redirectWith(
        request,
        reply,
        `${at}/queues/${item.queue}`,
        say(request, act === 'return' ? 'cron.returned' : 'cron.discarded', 'good'),
      )
    })
  }
}

const queueNamed = (request: FastifyRequest): string => {
  const { name } = request.params as { name: string }
  if (queueName.test(name)) return name
  throw new BgtaskError('not-found', told`There is no queue of that name.`)
}

const itemNamed = async ({ background: { db } }: Panel, request: FastifyRequest) => {
  const given = (request.params as { id: string }).id
  const id = parseTaskId(given)
  const item = id === null ? null : await findItem(db, id)
  if (item === null) throw new BgtaskError('not-found', told`Item ${given.slice(0, 40)} does not exist.`)
  return item
}

const placeOf = (given: string | undefined): { asideAt: number; id: number } | null => {
  const found = /^(\d{1,15})-(\d{1,15})$/.exec(given ?? '')
  return found ? { asideAt: Number(found[1]), id: Number(found[2]) } : null
}

const say = (
  request: FastifyRequest,
  key: Parameters<typeof translate>[1],
  tone: Flash['tone'],
  values: Record<string, number> = {},
): Flash => ({
  tone,
  text: translate(request.language, key, values),
})
