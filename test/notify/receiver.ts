import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

export const webhookSecret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

export interface Received {
  headers: IncomingHttpHeaders
  body: string
  // biome-ignore lint/suspicious/noExplicitAny: what arrives is looked at field by field
  json: any
}

export interface Receiver {
  url: string
  /** What was answered with 2xx. */
  taken: Received[]
  /** All that came. */
  seen: Received[]
  /** Answers from now on. Default 204. */
  answer: { status: number; headers?: Record<string, string>; body?: string }
}

/** A real HTTP server that takes webhooks. It is closed when the test is over. */
export const startReceiver = async (t: TestContext): Promise<Receiver> => {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = Buffer.concat(pieces).toString('utf8')
      const received = { headers: request.headers, body, json: body ? (JSON.parse(body) as unknown) : null }
      receiver.seen.push(received)
      const { status, headers, body: said } = receiver.answer
      if (status < 300) receiver.taken.push(received)
      response.writeHead(status, headers).end(said)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const receiver: Receiver = { url: `http://127.0.0.1:${port}/hook/of-a-chat`, taken: [], seen: [], answer: { status: 204 } }
  return receiver
}

/** The settings by which it is told. */
export const toReceiver = ({ url }: Pick<Receiver, 'url'>): Record<string, string> => ({
  BGTASK_NOTIFY_WEBHOOK: url,
  BGTASK_NOTIFY_SECRET: webhookSecret,
  BGTASK_NOTIFY_ALLOW: '127.0.0.1',
})

/** As a receiver does it by the specification of Standard Webhooks. */
export const isSigned = ({ headers, body }: Pick<Received, 'headers' | 'body'>, secret = webhookSecret): boolean => {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const expected = createHmac('sha256', key).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest()
  const fresh = Math.abs(Date.now() / 1000 - Number(headers['webhook-timestamp'])) < 300
  return String(headers['webhook-signature'])
    .split(' ')
    .some(one => {
      const [version, signature = ''] = one.split(',')
      const given = Buffer.from(signature, 'base64')
      return fresh && version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected)
    })
}
