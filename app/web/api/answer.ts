import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { BgtaskError } from '../../errors.ts'
import { explainError, WebError } from '../explain-error.ts'
import type { Panel } from '../panel.ts'

/** Every answer to a program that is no success: a word to act upon, and a sentence for whoever reads the program's log. */
export interface ApiError {
  error: { code: string; message: string }
}

/** A body that is not looked at: 400, or 415 for how it is sent. The message is the sentence. */
export class UnreadableBody extends Error {
  readonly statusCode: 400 | 415
  constructor(statusCode: 400 | 415, sentence: string) {
    super(sentence)
    this.statusCode = statusCode
  }
}

export const sendApiError = (reply: FastifyReply, status: number, code: string, message: string): FastifyReply =>
  reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send({ error: { code, message } } satisfies ApiError)

/** Whatever was thrown, as an answer to a program. What went wrong inside is logged under a reference and not told. */
export const answerApiError = (panel: Panel, request: FastifyRequest, reply: FastifyReply, error: FastifyError): FastifyReply => {
  if (error instanceof UnreadableBody)
    return sendApiError(reply, error.statusCode, error.statusCode === 400 ? 'bad-request' : 'content-encoding', error.message)
  const { status, text } = explainError(panel, error, request)
  if (status === 503) reply.header('retry-after', '5')
  if (error instanceof BgtaskError) return sendApiError(reply, status, error.code, text)
  const said = error instanceof WebError ? undefined : sentences[status]
  return sendApiError(reply, status, codes[status] ?? (status < 500 ? 'bad-request' : 'failed'), said ?? text)
}

const codes: Record<number, string> = {
  403: 'forbidden',
  404: 'not-found',
  408: 'too-slow',
  410: 'gone',
  413: 'too-large',
  415: 'content-type',
  416: 'range',
  421: 'wrong-host',
  429: 'rate-limited',
  503: 'database-away',
}

/** Where a page speaks of forms. */
const sentences: Record<number, string> = {
  400: 'The body cannot be read: it is not JSON, or has a key that is not allowed (__proto__).',
  415: 'Only JSON is taken here: send the body with Content-Type: application/json.',
}
