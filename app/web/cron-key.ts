import type { FastifyInstance } from 'fastify'
import { readCronKey, renewCronKey } from '../cron/cron-key.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { crontabLines } from './cron-model.ts'
import { type Panel, redirectWith } from './panel.ts'
import { originsOf } from './request-class.ts'

const page = '/reports/status/cron-key'

/** The key of the address by which cron can be run: only for administrators who have just given their password. */
export const registerCronKey = (app: FastifyInstance, panel: Panel) => {
  const { config, background } = panel
  const tools = { db: background.db, config }

  app.get(page, { config: { fresh: true } }, async (request, reply) => {
    const key = await readCronKey(tools)
    const address = `${config.publicUrl ?? originsOf(request, null)[0]!}${panel.top}`
    const lines = crontabLines(config, address)
    const shown = key === null || key.text === null ? null : { url: `${address}/cron/${key.text}`, line: lines.remote(key.text) }
    return reply.page('cron-key', { key: key && { madeAt: key.madeAt, madeBy: key.madeBy }, shown, local: lines.local })
  })

  app.post(page, { config: { fresh: true } }, async (request, reply) => {
    await renewCronKey(tools, actorOf(request))
    return redirectWith(request, reply, `${panel.root}${page}`, { tone: 'good', text: translate(request.language, 'cronKey.made') })
  })
}
