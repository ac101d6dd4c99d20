import type { FastifyInstance } from 'fastify'
import { maskedConfig } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { listTasks } from '../store/list-tasks.ts'
import { listIncidents, listLasting } from '../store/notices.ts'
import { channelsOf, notifyAction } from '../task/notify.ts'
import { told } from '../task/told.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import type { Panel } from './panel.ts'

const page = '/config/notifications'
/** Of each kind. */
const shownLasting = 50
const shownIncidents = 20
const shownDeliveries = 10

/** Who is told of incidents: what is set, what happened, what was sent, and a button that sends a test. */
export const registerNotifications = (app: FastifyInstance, { config, background, root }: Panel) => {
  const { db } = background
  const { notify } = config

  app.get(page, async (_request, reply) => {
    const [open, newest, { tasks }] = await Promise.all([
      listLasting(db, shownLasting),
      listIncidents(db, shownIncidents),
      listTasks(db, { action: notifyAction }, { limit: shownDeliveries }),
    ])
    const redaction = redactionOf(config)
    return reply.page('notifications', {
      notify,
      settings: maskedConfig(config),
      open,
      past: newest.filter(one => !open.some(({ id }) => id === one.id)),
      deliveries: tasks.map(task => redaction.task(task)),
    })
  })

  app.post(`${page}/test`, async (request, reply) => {
    const given = fieldsOf(request.body).channel
    const channel = (notify ? channelsOf(notify) : []).find(one => one === given)
    if (channel === undefined)
      throw new BgtaskError(
        'refused',
        told`There is no such way to tell anybody; set BGTASK_NOTIFY_WEBHOOK or BGTASK_NOTIFY_SMTP, and start the panel again.`,
      )
    const { name } = request.user!
    const [stored] = await background.storeTasks(
      [
        {
          action: notifyAction,
          params: { channel, test: { by: name } },
          options: { type: 'notification', creator: name, priority: -1000, maxAttempts: 1, timeoutMs: 60_000, rerunAfterCrash: false },
        },
      ],
      { by: name, actor: { ...actorOf(request), act: 'notification-test', detail: channel } },
    )
    // Its page shows what came of it, as it comes.
    return reply.redirect(`${root}/core/bgtask/${stored!.task.id}`, 303)
  })
}
