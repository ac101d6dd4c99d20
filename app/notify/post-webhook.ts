import { createHmac } from 'node:crypto'
import { type LookupAddress, lookup } from 'node:dns'
import { request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { messageOf } from '../errors.ts'
import type { Webhook } from '../task/notify.ts'
import { oneLine } from '../texts/control-characters.ts'
import { isPublicAddress } from './allowed-address.ts'

export interface Answer {
  ok: boolean
  /** What came of it, in a sentence: it never holds the address itself. */
  sentence: string
}

/**
 * Sends JSON as Standard Webhooks has it: an id that stays the same when it is sent again, a time, and a signature over both and the body.
 * The receiver's addresses are looked up once, checked, and then connected to; no redirect is followed.
 * @param delivery the id @param options.resolve looks up a name; default: the system's
 */
export const postWebhook = async (
  { url, key, allow }: Webhook,
  delivery: string,
  payload: object,
  { signal, timeoutMs = 10_000, resolve = systemLookup }: { signal?: AbortSignal; timeoutMs?: number; resolve?: Resolve } = {},
): Promise<Answer> => {
  const target = new URL(url)
  const host = target.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const isAllowed = allow.includes(host)
  // Checked when it was set, too; but what is sent here must not rest on that.
  if (target.protocol !== 'https:' && !isAllowed)
    return { ok: false, sentence: `${host} is not reached by https:, and BGTASK_NOTIFY_ALLOW does not name it.` }
  if (isIP(host) !== 0 && !isAllowed && !isPublicAddress(host)) return { ok: false, sentence: refusal(host) }
  const body = JSON.stringify(payload)
  const id = `msg_${delivery}`
  const timestamp = String(Math.floor(Date.now() / 1000))
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${id}.${timestamp}.${body}`).digest('base64')
  const limit = AbortSignal.timeout(timeoutMs)
  const request = (target.protocol === 'https:' ? requestTls : requestPlain)(target, {
    method: 'POST',
    agent: false,
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    lookup: checkedLookup(host, isAllowed, resolve),
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'bgtask',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
      'x-bgtask-delivery': id,
    },
  })
  try {
    const { status, text } = await answerTo(request, body)
    if (status >= 200 && status < 300) return { ok: true, sentence: `${host} answered ${status}.` }
    const said = oneLine(text).slice(0, 200)
    const why = status >= 300 && status < 400 ? ', a redirect, which is not followed' : said ? `: ${said}` : ''
    return { ok: false, sentence: `${host} answered ${status}${why}.` }
  } catch (error) {
    if (limit.aborted) return { ok: false, sentence: `${host} did not answer within ${timeoutMs / 1000} s.` }
    return { ok: false, sentence: `${host} cannot be reached: ${messageOf(error)}${/[.?]$/.test(messageOf(error)) ? '' : '.'}` }
  }
}

export type Resolve = (host: string) => Promise<LookupAddress[]>

const systemLookup: Resolve = host =>
  new Promise((resolve, reject) => lookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses))))

/** The socket connects to what this answers and to nothing else: nobody can have the name mean another address after it was checked. */
const checkedLookup =
  (host: string, isAllowed: boolean, resolve: Resolve): LookupFunction =>
  (name, options, done) => {
    resolve(name).then(
      addresses => {
        const closed = isAllowed ? undefined : addresses.find(({ address }) => !isPublicAddress(address))
        const [first] = addresses
        if (closed) done(new Error(refusal(host, closed.address)), '')
        else if (!first) done(new Error('its name has no address'), '')
        else if (options.all) done(null, addresses)
        else done(null, first.address, first.family)
      },
      (error: Error) => done(error, ''),
    )
  }

const refusal = (host: string, address = host) =>
  `${host === address ? host : `${host} is ${address}, which`} is no address of the public internet, so nothing is sent there. If it is meant, set BGTASK_NOTIFY_ALLOW=${host}.`

const mostBytes = 65_536

const answerTo = (request: ReturnType<typeof requestPlain>, body: string): Promise<{ status: number; text: string }> =>
  new Promise((resolve, reject) => {
    request.once('error', reject)
    request.once('response', response => {
      const pieces: Buffer[] = []
      let size = 0
      const end = () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') })
      response.on('data', (piece: Buffer) => {
        pieces.push(piece)
        size += piece.length
        // Whatever it has to say is longer than anybody reads.
        if (size > mostBytes) {
          end()
          request.destroy()
        }
      })
      response.once('end', end)
      response.once('error', reject)
    })
    request.end(body)
  })
