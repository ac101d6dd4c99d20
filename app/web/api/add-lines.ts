import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { BgtaskError } from '../../errors.ts'
import { explainError } from '../explain-error.ts'
import { allowLong } from '../http-server.ts'
import type { Panel } from '../panel.ts'
import { sendApiError } from './answer.ts'
import { requestKeyOf } from './answer-once.ts'
import { LinesEnd, linesLimits, readLines } from './read-lines.ts'
import { createLineStore, type LineStore } from './store-lines.ts'

/**
 * Adds tasks that come line by line, and answers line by line while they come. Each line answers for itself. The last line of the answer says
 * `end`, or `stopped` with the first line that was not done; an answer without either was cut.
 * @param first number of the first line
 */
export const answerLines = async (panel: Panel, request: FastifyRequest, reply: FastifyReply, first: number): Promise<FastifyReply> => {
  const { id } = request.token!
  const body = request.body as IncomingMessage
  const release = takePlace(id)
  if (!release) {
    const sentence = `${linesLimits.perToken} requests of lines are under way for this token, or ${linesLimits.inAll} for all; ask again in a few seconds.`
    return sendApiError(reply.header('retry-after', '5'), 429, 'rate-limited', sentence)
  }
  reply.raw.once('close', release)
  const store = await createLineStore(panel, request, requestKeyOf(request), first)
  allowLong(request.raw)
  const answers = Readable.from(answering(panel, request, reply, body, store, first), {
    objectMode: false,
    highWaterMark: linesLimits.waitingBytes,
  })
  return reply.code(200).type(linesType).header('x-accel-buffering', 'no').send(answers)
}

export const linesType = 'application/x-ndjson'

async function* answering(
  panel: Panel,
  request: FastifyRequest,
  reply: FastifyReply,
  body: IncomingMessage,
  store: LineStore,
  first: number,
) {
  const counts = { lines: 0, added: 0, kept: 0, refused: 0 }
  let next = first
  try {
    for await (const lines of readLines(body, first)) {
      next = lines[0]!.number
      for await (const answers of store.store(lines)) {
        panel.live.poke()
        for (const answer of answers) {
          counts.lines++
          counts['error' in answer ? 'refused' : answer.added ? 'added' : 'kept']++
        }
        next = answers.at(-1)!.line + 1
        yield answers.map(answer => `${JSON.stringify(answer)}\n`).join('')
      }
    }
    yield `${JSON.stringify({ end: counts })}\n`
  } catch (error) {
    // They have left: nobody reads on.
    if (body.socket.destroyed) return
    yield `${JSON.stringify({ stopped: stoppedBy(panel, request, error, next) })}\n`
    reply.raw.once('finish', () => endWith(body))
  }
}

const stoppedBy = (panel: Panel, request: FastifyRequest, error: unknown, next: number) => {
  if (error instanceof LinesEnd) {
    const sentence =
      error.fault === 'too-many'
        ? `More than ${linesLimits.lines.toLocaleString('en')} lines: send the others in another request.`
        : `Nothing has come for ${linesLimits.idleMs / 1000} s. Go on with this line.`
    return { line: error.line, error: { code: error.fault, message: sentence } }
  }
  const { status, text } = explainError(panel, error as Parameters<typeof explainError>[1], request)
  const code = error instanceof BgtaskError ? error.code : status === 503 ? 'database-away' : 'failed'
  return { line: next, error: { code, message: text } }
}

/**
 * They are told that nothing more will come, and close when they have read it. What they still send until then is read over: closed with bytes of
 * theirs unread, the connection would be reset, and the answer lost to them.
 */
const endWith = (body: IncomingMessage) => {
  if (body.complete) return
  const { socket } = body
  socket.end()
  const close = () => socket.destroy()
  body.once('end', close)
  body.resume()
  const late = setTimeout(close, linesLimits.lingerMs).unref()
  socket.once('close', () => clearTimeout(late))
}

const places = new Map<number, number>()

/** @returns gives the place back; null: there is none */
const takePlace = (token: number): (() => void) | null => {
  const own = places.get(token) ?? 0
  const all = [...places.values()].reduce((sum, count) => sum + count, 0)
  if (own >= linesLimits.perToken || all >= linesLimits.inAll) return null
  places.set(token, own + 1)
  return () => {
    const left = (places.get(token) ?? 1) - 1
    if (left > 0) places.set(token, left)
    else places.delete(token)
  }
}
