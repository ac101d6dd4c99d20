/** One request and its whole answer. Whatever breaks on the way is thrown, also an answer that was cut. */
export interface Asked {
  method: string
  /** With the query. */
  path: string
  headers: Record<string, string>
  body?: string
  signal: AbortSignal
}
export interface Answered {
  status: number
  retryAfterMs: number | null
  /** Where a redirect leads. */
  location: string | null
  /** JSON, whole or in lines: what something in front of the panel says seldom is. */
  isJson: boolean
  text: string
}
export type Transport = (asked: Asked) => Promise<Answered>

/** By fetch, wherever there is one. @param url origin of the panel, with the path before /api where it has one */
export const overHttp =
  (url: string): Transport =>
  async ({ method, path, headers, body, signal }) => {
    const response = await fetch(url.replace(/\/+$/, '') + path, {
      method,
      headers,
      signal,
      // Not followed: the token is for nobody else.
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    })
    return {
      status: response.status,
      retryAfterMs: waitIn(response.headers.get('retry-after')),
      location: response.headers.get('location'),
      isJson: isJson(response.headers.get('content-type')),
      text: await response.text(),
    }
  }

/** Over a Unix socket, in Node. */
export const overSocket =
  (socketPath: string): Transport =>
  async ({ method, path, headers, body, signal }) => {
    const { request } = await import('node:http')
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath, method, path, signal, headers: { host: 'localhost', ...headers }, agent: false }, response => {
        const pieces: Buffer[] = []
        response.on('data', (piece: Buffer) => pieces.push(piece))
        response.on('error', reject)
        response.on('end', () => {
          const { 'retry-after': retryAfter = null, location = null, 'content-type': type = null } = response.headers
          const text = Buffer.concat(pieces).toString()
          resolve({ status: response.statusCode!, retryAfterMs: waitIn(retryAfter), location, isJson: isJson(type), text })
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

const isJson = (contentType: string | null) => /^application\/(?:json|x-ndjson)\b/.test(contentType ?? '')

/** Seconds; a date is not sent by the panel. */
const waitIn = (retryAfter: string | null): number | null =>
  retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1_000 : null
