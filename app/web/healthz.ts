import type { FastifyInstance } from 'fastify'
import { readSupervisor } from '../runs/supervisor-file.ts'
import { anyUser } from '../store/users.ts'
import type { Panel } from './panel.ts'

/** For probes: 200 while the panel answers and the database does, else 503; tells nobody more than that and whether the loop runs. */
export const registerHealthz = (app: FastifyInstance, { config, background }: Panel) => {
  app.get('/healthz', async (_request, reply) => {
    const loop = readSupervisor(config.runtime) === null ? 'down' : 'running'
    try {
      await anyUser(background.db)
      return { ok: true, database: 'ok', loop }
    } catch {
      // Why it is away is told on the page, to who may read it.
      return reply.code(503).send({ ok: false, database: 'away', loop })
    }
  })
}
