import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { reloadAudited, startAudited, stopAudited } from '../api/audited-loop.ts'
import { type LoopStart, whyNotStart } from '../api/start-loop.ts'
import { type LoopStop, whyNotStop } from '../api/stop-loop.ts'
import { sentenceOf } from '../errors.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import type { AuditVia } from '../store/audit.ts'
import { isAway } from '../store/database.ts'
import { tell } from '../texts/tell.ts'
import { type TextKey, translate } from '../texts/translate.ts'
import { type ActLimit, createActLimit } from './act-limit.ts'
import { actorOf } from './actor.ts'
import { WebError } from './error-pages.ts'
import { fieldsOf } from './fields.ts'
import { type Flash, type Panel, redirectWith } from './panel.ts'
import { classifyRequest, isClickOfOurs, isPageVisit, originsOf, type RequestClass } from './request-class.ts'
import { isStopToken, stopToken } from './restart-link.ts'
import { stopByToken } from './token-visits.ts'

/** Starting, stopping, holding and reloading the loop of this host. */
export const registerLoop = (app: FastifyInstance, panel: Panel) => {
  const restartPath = '/core/bgtask/restart'
  const stopAndTell = async (request: FastifyRequest, reply: FastifyReply, how: { via: AuditVia; hold?: boolean }) =>
    redirectWith(request, reply, panel.root, await tellStop(panel, request, reply, how))

  // Named by the specification: the visit itself stops the loop, when it is beyond doubt that a person meant it. Else the page asks.
  app.get(restartPath, async (request, reply) => {
    if (request.token) return stopByToken(request, reply, () => stopByRequest(panel, request, reply, { via: 'token' }))
    const supervisor = readSupervisor(panel.config.runtime)
    const kind = visitClass(panel, request)
    const { k, ask } = fieldsOf(request.query)
    const isStopping = supervisor !== null && whyNotStop(panel.config) !== null
    const isGood = k !== undefined && supervisor !== null && !isStopping && isStopToken(panel, supervisor.epoch, k)
    if (isGood && isPageVisit(request)) return stopAndTell(request, reply, { via: 'link' })
    const isMeant = k === undefined && ask === undefined && isClickOfOurs(request, kind, panel)
    if (supervisor !== null && !isStopping && isMeant) return stopAndTell(request, reply, { via: 'ours' })
    const own = panel.config.publicUrl ?? `${request.protocol}://${request.headers.host}`
    const link = supervisor === null || isStopping ? null : `${own}${panel.root}${restartPath}?k=${stopToken(panel, supervisor.epoch)}`
    return reply.page('restart', { supervisor, isStopping, isOver: k !== undefined && !isGood, link })
  })
  for (const path of [restartPath, '/core/bgtask/loop/stop']) {
    app.post(path, async (request, reply) => stopAndTell(request, reply, { via: 'form' }))
  }
  app.post('/core/bgtask/loop/hold', async (request, reply) => stopAndTell(request, reply, { via: 'form', hold: true }))

  app.post('/core/bgtask/loop/start', async (request, reply) =>
    redirectWith(request, reply, panel.root, await tellStart(panel, request, reply)),
  )

  app.post('/core/bgtask/loop/reload', async (request, reply) => {
    const { asked } = await reloadAudited(toolsOf(panel), actorOf(request))
    return redirectWith(request, reply, panel.root, say(request, asked ? 'loop.reloading' : 'loop.notRunning', asked ? 'good' : 'plain'))
  })
}

/** What may act on a visit: never a page that was fetched ahead, nor one that a link elsewhere led to. */
export const visitClass = (panel: Panel, request: FastifyRequest): RequestClass => {
  const fromElsewhere = request.session.arrivedFromElsewhere
  if (fromElsewhere) request.session.arrivedFromElsewhere = undefined
  const kind = classifyRequest(request, originsOf(request, panel.config.publicUrl))
  return fromElsewhere ? 'foreign' : kind
}

/** A visit to the overview starts the loop when it is down and nobody holds it; the page is there in any case. @returns what to say about it */
export const startByVisit = async (panel: Panel, request: FastifyRequest): Promise<Flash | null> => {
  const kind = visitClass(panel, request)
  if (kind === 'foreign' || kind === 'look' || whyNotStart(panel.config, { releaseHold: false })) return null
  const { starts } = limitsOf(panel)
  if (starts.take() > 0) return null
  try {
    const { started } = await startAudited(toolsOf(panel), actorOf(request, kind))
    if (!started) {
      starts.giveBack()
      return null
    }
    // The page that tells of the start must not say in its next line that nothing runs.
    await comesUp(panel.config.runtime, 1_500)
    panel.live.poke()
    return say(request, 'loop.startedByVisit', 'good')
  } catch (error) {
    starts.giveBack()
    request.log.error(error, 'A visit could not start the supervisor.')
    const why = isAway(error) ? translate(request.language, 'overview.databaseAway') : tell(request.language, sentenceOf(error))
    return { tone: 'bad', text: translate(request.language, 'loop.notStarted', { error: why }) }
  }
}

/**
 * Stops the loop as a request asks for it, at most once in 10 s; a hold is not kept waiting.
 * @throws WebError 429 when the loop was stopped just before and runs again
 */
export const stopByRequest = async (
  panel: Panel,
  request: FastifyRequest,
  reply: FastifyReply,
  { via, hold = false }: { via: AuditVia; hold?: boolean },
): Promise<LoopStop> => {
  const idle = hold ? null : whyNotStop(panel.config)
  if (idle) return idle
  const stop = () => stopAudited(toolsOf(panel), actorOf(request, via), { hold })
  const stopped = await (hold ? stop() : limited(limitsOf(panel).stops, reply, stop, ({ asked }) => asked))
  panel.live.poke()
  return stopped
}

const comesUp = async (runtime: string, withinMs: number): Promise<void> => {
  const until = performance.now() + withinMs
  while (readSupervisor(runtime) === null && performance.now() < until) await delay(25)
}

const tellStop = async (panel: Panel, request: FastifyRequest, reply: FastifyReply, how: { via: AuditVia; hold?: boolean }) => {
  const { supervisor } = await stopByRequest(panel, request, reply, how)
  // The page that answers must not start at once what was just stopped.
  request.session.arrivedFromElsewhere = true
  if (how.hold) return say(request, 'loop.held', 'good')
  return supervisor ? say(request, 'loop.stopping', 'good') : say(request, 'loop.notRunning', 'plain')
}

const tellStart = async (panel: Panel, request: FastifyRequest, reply: FastifyReply): Promise<Flash> => {
  const idle = whyNotStart(panel.config, { releaseHold: true })
  const start = () => startAudited(toolsOf(panel), actorOf(request), { releaseHold: true })
  const { state } = idle ?? (await limited(limitsOf(panel).starts, reply, start, ({ started }) => started))
  panel.live.poke()
  return say(request, startTexts[state], state === 'started' || state === 'starting' ? 'good' : 'plain')
}

const startTexts = {
  started: 'loop.starting',
  starting: 'loop.starting',
  running: 'loop.runsAlready',
  stopping: 'loop.stillStopping',
  hold: 'bar.held',
} as const satisfies Record<LoopStart['state'], TextKey>

/** Starts by anybody, and stops by anybody, on this panel. */
const limitsOf = (panel: Panel): { starts: ActLimit; stops: ActLimit } => {
  const made = limits.get(panel) ?? { starts: createActLimit(5_000), stops: createActLimit(10_000) }
  limits.set(panel, made)
  return made
}
const limits = new WeakMap<Panel, { starts: ActLimit; stops: ActLimit }>()

const limited = async <T>(limit: ActLimit, reply: FastifyReply, work: () => Promise<T>, isDone: (result: T) => boolean): Promise<T> => {
  const waitMs = limit.take()
  if (waitMs > 0) {
    const waitS = Math.ceil(waitMs / 1000)
    reply.header('retry-after', String(waitS))
    throw new WebError(429, 'loop.tooSoon', { waitMs: waitS * 1000 })
  }
  let isCounted = false
  try {
    const result = await work()
    isCounted = isDone(result)
    return result
  } finally {
    if (!isCounted) limit.giveBack()
  }
}

const toolsOf = ({ config, background: { db } }: Panel) => ({ config, db })

const say = (request: FastifyRequest, key: TextKey, tone: Flash['tone']): Flash => ({ tone, text: translate(request.language, key) })
