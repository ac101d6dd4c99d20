import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { audited } from '../api/audited.ts'
import { existing, moveTask } from '../api/control.ts'
import { BgtaskError } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { instantIn, localIn } from '../task/local-time.ts'
import type { Task } from '../task/task.ts'
import { readTimeZone, timeZones } from '../task/time-zone.ts'
import type { Language } from '../texts/format.ts'
import { tell } from '../texts/tell.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { type Panel, redirectWith } from './panel.ts'
import { isCommandTask } from './prove.ts'
import { taskIdOf } from './task-id.ts'

/** Another due time for a task that waits: in so and so long, or at a time that clocks show in the reader's zone. Needs no script. */
export const registerMoveTask = (app: FastifyInstance, panel: Panel) => {
  const { background } = panel

  app.get('/core/bgtask/:id/move', async (request, reply) => {
    const task = await existing(background, taskIdOf(request))
    const zone = zoneOf(request)
    return form(panel, reply, task, null, { when: 'in', delay: '10', delay_unit: 'minutes', at: localIn(zone, task.runAt), zone })
  })

  app.post('/core/bgtask/:id/move', { config: { fresh: isCommandTask(panel) } }, async (request, reply) => {
    const task = await existing(background, taskIdOf(request))
    const page = `${panel.root}/core/bgtask/${task.id}`
    const fields = fieldsOf(request.body)
    try {
      const { runAt, zone } = dueGiven(fields, request.language)
      const detail = `${task.action}, from ${new Date(task.runAt).toISOString()} to ${new Date(runAt).toISOString()}`
      await audited(background.db, actorOf(request), { act: 'task-move', subject: String(task.id), detail }, () =>
        moveTask(background, task.id, runAt, request.user!.name, actorOf(request).reach),
      )
      panel.live.poke()
      if (zone) reply.setCookie(zoneCookie, zone, { path: '/', sameSite: 'strict', httpOnly: true, maxAge: 365 * 86_400 })
      const text = translate(request.language, 'moved.done', { id: String(task.id) })
      return redirectWith(request, reply, page, { tone: 'good', text })
    } catch (error) {
      if (!(error instanceof BgtaskError)) throw error
      if (error.code === 'refused') return form(panel, reply, task, tell(request.language, error.sentence), fields)
      // It began, or ended, since the page was drawn.
      if (error.code === 'busy') return redirectWith(request, reply, page, { tone: 'bad', text: tell(request.language, error.sentence) })
      throw error
    }
  })
}

/** The zone that was chosen last in this browser; the page's script puts the reader's own there while none was. */
const zoneCookie = 'bgtask-zone'

const zoneOf = (request: FastifyRequest): string => {
  const read = readTimeZone(request.cookies[zoneCookie] ?? '')
  return 'timeZone' in read ? read.timeZone : 'UTC'
}

const unitsMs = { seconds: 1_000, minutes: 60_000, hours: 3_600_000, days: 86_400_000 } as const
const mostMs = 3_650 * unitsMs.days

const dueGiven = (fields: Record<string, string>, language: Language): { runAt: number; zone: string | null } => {
  const refuse = (key: Parameters<typeof translate>[1], values = {}) => new BgtaskError('refused', translate(language, key, values))
  const given = (name: string) => (fields[name] ?? '').trim()
  if (given('when') === 'at') {
    const read = readTimeZone(given('zone'))
    if ('fault' in read) throw new BgtaskError('refused', read.fault)
    if (given('at') === '') throw refuse('new.atMissing')
    const runAt = instantIn(read.timeZone, given('at'))
    if (runAt === null) throw refuse('moved.noSuchTime', { given: given('at').slice(0, 60), zone: read.timeZone })
    return { runAt, zone: read.timeZone }
  }
  const delay = Number(given('delay'))
  const unit = given('delay_unit') in unitsMs ? (given('delay_unit') as keyof typeof unitsMs) : 'minutes'
  if (given('delay') === '') throw refuse('new.delayMissing')
  if (!(delay >= 0 && delay * unitsMs[unit] <= mostMs)) throw refuse('moved.delayWrong', { given: given('delay').slice(0, 60) })
  return { runAt: Math.round(Date.now() + delay * unitsMs[unit]), zone: null }
}

const form = (panel: Panel, reply: FastifyReply, task: Task, problem: string | null, values: Record<string, string>) =>
  reply.page(
    'move-task',
    {
      task: redactionOf(panel.config).task(task),
      problem,
      values: { when: 'in', delay: '', delay_unit: 'minutes', at: '', zone: 'UTC', ...values },
      zones: timeZones(),
      isZoneChosen: reply.request.cookies[zoneCookie] !== undefined || problem !== null,
    },
    problem === null ? 200 : 422,
  )
