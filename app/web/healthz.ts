import type { FastifyInstance, RouteOptions } from 'fastify'
import type { Config } from '../config.ts'
import { isSilent, readSupervisor } from '../runs/supervisor-file.ts'
import { isMigrated } from '../store/migrate.ts'
import { anyUser } from '../store/users.ts'
import type { Panel } from './panel.ts'

/**
 * For probes, which have no session and no token. They are told by the status, and nobody is told more than whether database and loop are there.
 * - `/healthz`: 200 while the panel answers and the database does, else 503.
 * - `/healthz/live`: 200 while this process answers; asks nothing and nobody.
 * - `/healthz/ready`: 200 when the database answers and its tables are those of this version, else 503. With `?loop` the loop must run as well.
 */
export const registerHealthz = (app: FastifyInstance, { config, background: { db } }: Panel) => {
  const get = (url: string, handler: RouteOptions['handler']) => app.route({ method: ['GET', 'HEAD'], url, handler })

  get('/healthz', async (_request, reply) => {
    const loop = readSupervisor(config.runtime) === null ? 'down' : 'running'
    try {
      await anyUser(db)
      return { ok: true, database: 'ok', loop }
    } catch {
      // Why it is away is told on the page, to who may read it.
      return reply.code(503).send({ ok: false, database: 'away', loop })
    }
  })

  get('/healthz/live', async () => ({ ok: true }))

  get('/healthz/ready', async (request, reply) => {
    const loop = loopOf(config)
    const database = await isMigrated(db).then(
      migrated => (migrated ? 'ok' : 'not migrated'),
      () => 'away',
    )
    const needsLoop = Object.hasOwn(request.query as object, 'loop')
    const ok = database === 'ok' && (loop === 'running' || !needsLoop)
    return reply.code(ok ? 200 : 503).send({ ok, database, loop })
  })
}

/** Every address of theirs, below `panel.top`. */
export const probes = ['/healthz', '/healthz/live', '/healthz/ready'] as const

/** One that gives no sign of life any more does nothing for anybody. */
const loopOf = ({ runtime }: Config) => {
  const supervisor = readSupervisor(runtime)
  if (supervisor === null) return 'down'
  return isSilent(supervisor, Date.now()) ? 'silent' : 'running'
}
