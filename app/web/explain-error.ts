import { randomBytes } from 'node:crypto'
import type { FastifyError, FastifyRequest } from 'fastify'
import { UserRefused } from '../api/manage-users.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { isAway } from '../store/is-away.ts'
import { tell } from '../texts/tell.ts'
import { type TextKey, type TextValues, translate } from '../texts/translate.ts'
import type { Panel } from './panel.ts'

/** An answer that is no page: its text says what is wrong and what to do. */
export class WebError extends Error {
  readonly statusCode: number
  readonly key: TextKey
  readonly values: TextValues
  constructor(statusCode: number, key: TextKey, values: TextValues = {}) {
    super(translate('en', key, values))
    this.statusCode = statusCode
    this.key = key
    this.values = values
  }
}

export interface ExplainedError {
  status: number
  text: string
  /** Times in the text are a matter of the page. */
  since?: number
}

/** What is told of an error that was thrown; of one that nobody foresaw only a reference, under which it is logged. */
export const explainError = (panel: Panel, error: FastifyError, request: FastifyRequest): ExplainedError => {
  const say = (key: TextKey, values?: TextValues) => translate(request.language, key, values)
  if (error instanceof WebError) return { status: error.statusCode, text: say(error.key, error.values) }
  if (isAway(error) || (error instanceof BgtaskError && error.code === 'database-away')) {
    panel.databaseAwaySince ??= Date.now()
    return { status: 503, text: say('error.databaseAway'), since: panel.databaseAwaySince }
  }
  if (error instanceof UserRefused) return { status: error.httpStatus, text: say(`users.refused.${error.refusal}`) }
  if (error instanceof BgtaskError)
    return { status: error.httpStatus, text: redactionOf(panel.config).text(tell(request.language, error.sentence)) }
  if (error.code?.startsWith('FST_CSRF')) return { status: 403, text: say('error.csrf') }
  if (error.statusCode === 429) return { status: 429, text: say('error.tooMany') }
  if (error.statusCode === 413) return { status: 413, text: say('error.tooLarge') }
  if (error.statusCode === 415) return { status: 415, text: say('error.contentType') }
  if (error.statusCode !== undefined && error.statusCode < 500) return { status: error.statusCode, text: say('error.badRequest') }
  const reference = randomBytes(4).toString('hex')
  request.log.error({ err: error, reference, method: request.method, path: request.url.split('?', 1)[0] }, messageOf(error))
  return { status: 500, text: say('error.internal', { reference }) }
}
