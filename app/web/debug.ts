import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { audited } from '../api/audited.ts'
import { requireReachOfTask } from '../api/command-reach.ts'
import { findTask } from '../store/find-task.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { ansiToHtml, freshAnsi } from './ansi.ts'
import { type DebugEnd, runForDebug } from './debug-run.ts'
import { WebError } from './error-pages.ts'
import { fieldsOf } from './fields.ts'
import type { Panel } from './panel.ts'
import { escapeHtml } from './render.ts'
import { pageModel } from './reply.ts'
import { parseTaskId } from './task-id.ts'

const limits = [10, 60, 300, 1800] as const
const mostAtOnce = 4

/** Runs a task here and now, synchronously, and shows what it prints as it comes; the task's state is left alone. */
export const registerDebug = (app: FastifyInstance, panel: Panel) => {
  const stopping = new AbortController()
  let underWay = 0
  app.addHook('preClose', async () => stopping.abort())

  app.get('/core/bgtask/debug', async (request, reply) => {
    const found = await lookUp(panel, fieldsOf(request.query).id)
    return reply.page('debug', { ...found, limits, limitS: 60, phase: 'asked' }, found.asked !== '' && !found.task ? 404 : 200)
  })

  app.post('/core/bgtask/debug', { config: { fresh: true } }, async (request, reply) => {
    const fields = fieldsOf(request.body)
    const found = await lookUp(panel, fields.id)
    const limitS = limits.find(limit => String(limit) === fields.limit_s) ?? 60
    const { task } = found
    if (!task) return reply.page('debug', { ...found, limits, limitS, phase: 'asked' }, 404)
    await requireReachOfTask(panel.config, task, actorOf(request).reach)
    if (underWay >= mostAtOnce) throw new WebError(429, 'debug.tooMany', { most: mostAtOnce })
    const showRun = async () => {
      const [head, middle, tail] = split(panel, request, reply, { ...found, limits, limitS, phase: 'running' })
      const send = open(reply)
      await send(head)
      const state = freshAnsi()
      const left = new AbortController()
      reply.raw.once('close', () => left.abort())
      const end = await runForDebug(panel.config, task, {
        limitMs: limitS * 1000,
        signal: AbortSignal.any([left.signal, stopping.signal]),
        print: text => send(ansiToHtml(text, state)),
      })
      await send(middle + panel.pages.render('debug-end', request, { end, sentence: sentenceOf(request, end), task }))
      reply.raw.end(tail)
    }
    underWay++
    try {
      await audited(panel.background.db, actorOf(request), { act: 'debug-run', subject: String(task.id), detail: task.action }, showRun)
    } catch (error) {
      if (!reply.sent) throw error
      // The page has begun, so it cannot become an error page any more.
      reply.raw.end(`<p>${escapeHtml(translate(request.language, 'debug.broken'))}</p>`)
    } finally {
      underWay--
    }
  })
}

const lookUp = async (panel: Panel, given: string | undefined) => {
  const asked = (given ?? '').trim().slice(0, 40)
  const id = parseTaskId(asked)
  return { asked, task: id === null ? null : await findTask(panel.background.db, id) }
}

const outputMark = '<!--output-->'
const endMark = '<!--end-->'

/** The page in three pieces: the output goes between the first two, what became of it between the last two. */
const split = (panel: Panel, request: FastifyRequest, reply: FastifyReply, model: object): [string, string, string] => {
  const html = panel.pages.render('debug', request, pageModel(panel, request, reply, { ...model, outputMark, endMark }))
  const [head = '', rest = ''] = html.split(outputMark)
  const [middle = '', tail = ''] = rest.split(endMark)
  return [head, middle, tail]
}

/** Takes the answer into our own hands: from here on bytes go out as they come, at the pace of the reader. */
const open = (reply: FastifyReply) => {
  const { raw } = reply
  const headers = reply.getHeaders()
  reply.hijack()
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) raw.setHeader(name, value as string)
  raw.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'x-accel-buffering': 'no' })
  return async (html: string): Promise<void> => {
    if (html === '' || raw.destroyed || raw.write(html)) return
    await new Promise<void>(resolve => {
      const go = () => {
        raw.off('drain', go)
        raw.off('close', go)
        resolve()
      }
      raw.once('drain', go)
      raw.once('close', go)
    })
  }
}

const sentenceOf = (request: FastifyRequest, end: DebugEnd): string => {
  const say = (key: Parameters<typeof translate>[1], values?: Parameters<typeof translate>[2]) => translate(request.language, key, values)
  if (end.why === 'time') return say('debug.end.time')
  if (end.why === 'stopped') return say('debug.end.stopped')
  if (end.signal !== null) return say('debug.end.signal', { signal: end.signal })
  return end.exitCode === 0 ? say('debug.end.done') : say('debug.end.code', { exitCode: String(end.exitCode) })
}
