import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { reloadLoop } from '../api/reload-loop.ts'
import { startLoop } from '../api/start-loop.ts'
import { stopLoop } from '../api/stop-loop.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import { type TextKey, translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { type Flash, type Panel, redirectWith } from './panel.ts'
import { classifyRequest, originsOf, type RequestClass } from './request-class.ts'

/** Starting, stopping, holding and reloading the loop of this host. */
export const registerLoop = (app: FastifyInstance, panel: Panel) => {
  const { config } = panel
  const home = '/admin'

  // Named by the specification: the visit itself stops the loop, when it is beyond doubt that a person on our own page meant it.
  app.get('/admin/core/bgtask/restart', async (request, reply) => {
    const supervisor = readSupervisor(config.runtime)
    const kind = visitClass(panel, request)
    const byClick = kind === 'ours' && request.headers['sec-fetch-user'] === '?1'
    const byLink = kind !== 'look' && supervisor !== null && isStopToken(panel, supervisor.epoch, fieldsOf(request.query).k)
    if (!supervisor || !(byClick || byLink)) return reply.page('restart', { supervisor, kind })
    return redirectWith(request, reply, home, await stop(panel, request, { hold: false, kind: byLink ? 'link' : kind }))
  })

  app.post('/admin/core/bgtask/restart', async (request, reply) =>
    redirectWith(request, reply, home, await stop(panel, request, { hold: false, kind: 'post' })),
  )
  app.post('/admin/core/bgtask/loop/stop', async (request, reply) =>
    redirectWith(request, reply, home, await stop(panel, request, { hold: false, kind: 'post' })),
  )
  app.post('/admin/core/bgtask/loop/hold', async (request, reply) =>
    redirectWith(request, reply, home, await stop(panel, request, { hold: true, kind: 'post' })),
  )

  app.post('/admin/core/bgtask/loop/start', async (request, reply) => {
    const by = request.user!.name
    const started = await startLoop(config, { by, releaseHold: true })
    await audit(panel, request, 'loop-started', `post; ${started.state}`)
    panel.live.poke()
    return redirectWith(request, reply, home, { tone: 'good', text: translate(request.language, 'loop.starting') })
  })

  app.post('/admin/core/bgtask/loop/reload', async (request, reply) => {
    const { asked } = await reloadLoop(config, { by: request.user!.name })
    if (asked) await audit(panel, request, 'loop-reloaded', 'post')
    return redirectWith(request, reply, home, say(request, asked ? 'loop.reloading' : 'loop.notRunning', asked ? 'good' : 'plain'))
  })
}

/** What may act on a visit: never a page that was fetched ahead, nor one that a link elsewhere led to. */
export const visitClass = (panel: Panel, request: FastifyRequest): RequestClass => {
  const fromElsewhere = request.session.arrivedFromElsewhere
  if (fromElsewhere) request.session.arrivedFromElsewhere = undefined
  const kind = classifyRequest(request, originsOf(request, panel.config.publicUrl))
  return fromElsewhere ? 'foreign' : kind
}

const startEveryMs = 5_000
const lastStarts = new WeakMap<Panel, number>()

/** A visit to /admin starts the loop when it is down and nobody holds it. @returns what to say about it */
export const startByVisit = async (panel: Panel, request: FastifyRequest): Promise<Flash | null> => {
  const kind = visitClass(panel, request)
  if (kind === 'foreign' || kind === 'look') return null
  if (readSupervisor(panel.config.runtime) !== null) return null
  const now = Date.now()
  if (now - (lastStarts.get(panel) ?? 0) < startEveryMs) return null
  lastStarts.set(panel, now)
  const { started, state } = await startLoop(panel.config, { by: request.user!.name })
  if (!started) return null
  await audit(panel, request, 'loop-started', `visit, ${kind}; ${state}`)
  panel.live.poke()
  return say(request, 'loop.startedByVisit', 'good')
}

/** A link that stops the loop once: it names the life that it is for, so it says nothing to the next one. */
export const stopToken = ({ secret }: Pick<Panel, 'secret'>, epoch: string): string =>
  createHmac('sha256', secret).update(`restart${epoch}`).digest('base64url')

const isStopToken = (panel: Panel, epoch: string, given: string | undefined): boolean => {
  if (given === undefined) return false
  const expected = Buffer.from(stopToken(panel, epoch))
  const got = Buffer.from(given)
  return got.length === expected.length && timingSafeEqual(got, expected)
}

const stop = async (panel: Panel, request: FastifyRequest, { hold, kind }: { hold: boolean; kind: string }): Promise<Flash> => {
  const { asked } = await stopLoop(panel.config, { by: request.user!.name, hold })
  await audit(panel, request, hold ? 'loop-held' : 'loop-stopped', kind)
  panel.live.poke()
  // The page that answers must not start at once what was just stopped.
  request.session.arrivedFromElsewhere = true
  if (hold) return say(request, 'loop.held', 'good')
  return asked ? say(request, 'loop.stopping', 'good') : say(request, 'loop.notRunning', 'plain')
}

const say = (request: FastifyRequest, key: TextKey, tone: Flash['tone']): Flash => ({ tone, text: translate(request.language, key) })

const audit = (panel: Panel, request: FastifyRequest, act: string, detail: string) =>
  noteAct(panel.background.db, actorOf(request), { act, subject: 'loop', detail })
