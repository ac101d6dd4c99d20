import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { showValue } from '../../api/show-value.ts'
import { BgtaskError } from '../../errors.ts'
import type { CallerTransaction, Db } from '../../store/database.ts'
import { findAnswer, hashRequestKey, KeyTaken, keepAnswer, type RequestKey } from '../../store/request-keys.ts'
import { sendApiError } from './answer.ts'

export interface OnceAnswer {
  status: number
  body: object
  headers?: Record<string, string>
}

/** To be called with the answer in the transaction that does the work: then a repeated request is answered alike, and does nothing. */
export type Keep = (answer: OnceAnswer, trx: CallerTransaction) => Promise<void>

/**
 * Answers a change that may be repeated: one that names a key (`Idempotency-Key`) is done once for each key of a token, also when the answer was
 * lost, this process was killed, or several ask at the same time. Only what was done is remembered: what was refused is looked at anew.
 * @param work does it, and calls `keep` within its transaction (`together` of storeTasks)
 */
export const answerOnce = async (
  { db }: { db: Db },
  request: FastifyRequest,
  reply: FastifyReply,
  work: (keep: Keep) => Promise<OnceAnswer>,
): Promise<FastifyReply> => {
  const key = requestKeyOf(request)
  if (key === null) return send(reply, await work(async () => undefined))
  const bodyHash = createHash('sha256')
    .update(`${request.method} ${request.url}\n${JSON.stringify(request.body)}`)
    .digest('hex')
  const place = `${key.tokenId} ${key.keyHash}`
  const first = underWay.get(place)
  if (first) {
    const isDone = await Promise.race([first.then(() => true), delay(waitMs, false, { ref: false })])
    if (!isDone) {
      const sentence = 'A request with this Idempotency-Key is still being done; ask again in a second.'
      return sendApiError(reply.header('retry-after', '1'), 409, 'under-way', sentence)
    }
  }
  const done = doOnce(db, key, bodyHash, reply, work)
  const settled = done.then(ignore, ignore)
  underWay.set(place, settled)
  try {
    return await done
  } finally {
    if (underWay.get(place) === settled) underWay.delete(place)
  }
}

/** The key that a request names. @returns null without one @throws BgtaskError `refused` */
export const requestKeyOf = (request: FastifyRequest): RequestKey | null => {
  const given = request.headers['idempotency-key']
  if (given === undefined) return null
  // Of several Node makes one, with a comma and a space between.
  if (typeof given !== 'string' || !/^[!-~]{1,255}$/.test(given))
    throw new BgtaskError(
      'refused',
      `The Idempotency-Key is ${showValue(given)}; allowed are 1 to 255 letters, digits and signs, without a space.`,
    )
  return { tokenId: request.token!.id, keyHash: hashRequestKey(given) }
}

/** In schemas of routes that take one. */
export const idempotencyNote =
  'With a header `Idempotency-Key` it may be repeated, for 24 hours at least: the same request is answered as it was the first time ' +
  '(`Idempotency-Replayed: true`), and nothing is done twice. Another body under the same key is refused.'

/** How long one waits for another that has the same key. */
const waitMs = 10_000

/** Requests of this process; those of others are kept apart by the database. */
const underWay = new Map<string, Promise<void>>()

const ignore = () => undefined

const doOnce = async (db: Db, key: RequestKey, bodyHash: string, reply: FastifyReply, work: (keep: Keep) => Promise<OnceAnswer>) => {
  const before = await findAnswer(db, key)
  if (before) return replay(reply, before, bodyHash)
  try {
    const keep: Keep = ({ status, body, headers }, trx) =>
      keepAnswer(trx, key, { bodyHash, status, answer: JSON.stringify({ body, headers }) }, Date.now())
    return send(reply, await work(keep))
  } catch (error) {
    if (!(error instanceof KeyTaken)) throw error
    const meanwhile = await findAnswer(db, key)
    if (!meanwhile) throw error
    return replay(reply, meanwhile, bodyHash)
  }
}

const replay = (reply: FastifyReply, kept: { bodyHash: string; status: number; answer: string }, bodyHash: string): FastifyReply => {
  if (kept.bodyHash !== bodyHash) {
    throw new BgtaskError(
      'refused',
      'This Idempotency-Key was used for another request. Give each new request a key of its own, and the same key only to the same request.',
    )
  }
  const { body, headers } = JSON.parse(kept.answer) as Omit<OnceAnswer, 'status'>
  return send(reply.header('idempotency-replayed', 'true'), { status: kept.status, body, ...(headers ? { headers } : {}) })
}

const send = (reply: FastifyReply, { status, body, headers = {} }: OnceAnswer): FastifyReply =>
  reply.code(status).headers(headers).send(body)
