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
      redirect: 'error',
      ...(body === undefined ? {} : { body }),
    })
    return { status: response.status, retryAfterMs: waitIn(response.headers.get('retry-after')), text: await response.text() }
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
          const retryAfterMs = waitIn(response.headers['retry-after'] ?? null)
          resolve({ status: response.statusCode!, retryAfterMs, text: Buffer.concat(pieces).toString() })
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

/** Seconds; a date is not sent by the panel. */
const waitIn = (retryAfter: string | null): number | null =>
  retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1_000 : null
