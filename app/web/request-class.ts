import type { FastifyRequest } from 'fastify'

/**
 * Who made the browser ask for a page that acts on GET. `ours`: a page of this panel. `typed`: the address bar, a bookmark, a terminal.
 * `weak`: one of our pages, by Referer alone (plain HTTP sends nothing better). `look`: fetched ahead, nobody has seen it yet. Else `foreign`.
 */
export type RequestClass = 'ours' | 'typed' | 'weak' | 'look' | 'foreign'

export const classifyRequest = (request: FastifyRequest, ownOrigins: readonly string[]): RequestClass => {
  const headers = request.headers
  const ahead = [headers['sec-purpose'], headers.purpose, headers['x-moz']].join(' ').toLowerCase()
  if (ahead.includes('prefetch') || ahead.includes('prerender')) return 'look'
  const site = headers['sec-fetch-site']
  if (site !== undefined) {
    if (headers['sec-fetch-mode'] !== 'navigate' || headers['sec-fetch-dest'] !== 'document') return 'foreign'
    return site === 'same-origin' ? 'ours' : site === 'none' ? 'typed' : 'foreign'
  }
  if (headers.referer === undefined) return 'typed'
  return URL.canParse(headers.referer) && ownOrigins.includes(new URL(headers.referer).origin) ? 'weak' : 'foreign'
}

/** A change must come from a page of ours: Sec-Fetch-Site says so, or Origin does. A request with neither is no browser's form. */
export const isOwnChange = (request: FastifyRequest, ownOrigins: readonly string[]): boolean => {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site !== undefined && site !== 'same-origin') return false
  if (origin !== undefined) return ownOrigins.includes(origin)
  return site === 'same-origin'
}

/** Origins under which this request's page may have been loaded. The Host guard has already held the name against its list. */
export const originsOf = (request: FastifyRequest, publicUrl: string | null): string[] => [
  `http://${request.headers.host?.toLowerCase()}`,
  ...(publicUrl === null ? [] : [publicUrl]),
]
