/**
 * An answer of one sentence, for what cannot be answered by a page: a request that is none, or one that names no address.
 * @param sentence ASCII, without a line end
 */
export const bareAnswer = (status: keyof typeof reasons, sentence: string, { secure }: { secure: boolean }): string => {
  const body = `${sentence}\n`
  const headers = {
    ...bareHeaders({ secure }),
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(body.length),
    connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${reasons[status]}\r\n${lines.join('')}\r\n${body}`
}

/** What every answer says to a browser, also one that shows nothing. @param secure the panel is reached by TLS */
export const bareHeaders = ({ secure }: { secure: boolean }): Record<string, string> => ({
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  ...(secure ? { 'strict-transport-security': 'max-age=31536000; includeSubDomains' } : {}),
})

const reasons = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
} as const
