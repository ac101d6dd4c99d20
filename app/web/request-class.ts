import type { FastifyRequest } from 'fastify'
import type { Addresses } from './addresses.ts'
import { hostsOf } from './host-guard.ts'

/**
 * Who made the browser ask for a page that acts on GET. `ours`: a page of this panel. `typed`: the address bar, a bookmark, a terminal.
 * `weak`: one of our pages, by Referer alone (plain HTTP sends nothing better). `look`: fetched ahead, nobody has seen it yet. Else `foreign`.
 */
export type RequestClass = 'ours' | 'typed' | 'weak' | 'look' | 'foreign'

export const classifyRequest = (request: FastifyRequest, ownOrigins: readonly string[]): RequestClass => {
  const { referer, 'sec-fetch-site': site } = request.headers
  if (isFetchedAhead(request)) return 'look'
  if (site !== undefined) {
    if (!isPageVisit(request)) return 'foreign'
    return site === 'same-origin' ? 'ours' : site === 'none' ? 'typed' : 'foreign'
  }
  if (referer === undefined) return 'typed'
  return URL.canParse(referer) && ownOrigins.includes(new URL(referer).origin) ? 'weak' : 'foreign'
}

/** Asked for as a page that somebody is to see now, as far as the browser says: no image, frame, fetch, and nothing that is fetched ahead. */
export const isPageVisit = (request: FastifyRequest): boolean => {
  const { 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest } = request.headers
  if (isFetchedAhead(request)) return false
  return (mode === undefined && dest === undefined && site === undefined) || (mode === 'navigate' && dest === 'document')
}

/**
 * A person pressed something on one of our pages. The login page sends people on to wherever a link elsewhere wanted them, so it does not count.
 * Nor does what has no Referer, which our pages always send to us: when a page elsewhere goes back in the history, the browser asks once more,
 * as same-origin and as if somebody had pressed something.
 */
export const isClickOfOurs = (request: FastifyRequest, kind: RequestClass, { root, top }: Addresses): boolean => {
  const { referer, 'sec-fetch-user': user } = request.headers
  if (kind !== 'ours' || user !== '?1' || referer === undefined) return false
  if (!URL.canParse(referer)) return false
  const from = new URL(referer).pathname
  // In somebody else's application the pages beside ours are theirs, and may show links of anybody.
  if (top !== '' && from !== root && !from.startsWith(`${root}/`)) return false
  return !from.startsWith(`${root}/`) || !/^\/(?:login|core\/bgtask\/restart)(?:\/|$)/.test(from.slice(root.length))
}

/** Nobody has seen it, and perhaps nobody will: a browser fetches or renders ahead. */
export const isFetchedAhead = ({ headers }: FastifyRequest): boolean => {
  const ahead = [headers['sec-purpose'], headers.purpose, headers['x-moz'], headers['x-purpose']].join(' ').toLowerCase()
  return ahead.includes('prefetch') || ahead.includes('prerender') || ahead.includes('preview')
}

/** A change must come from a page of ours: Sec-Fetch-Site says so, or Origin does. A request with neither is no browser's form. */
export const isOwnChange = (request: FastifyRequest, ownOrigins: readonly string[]): boolean => {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site !== undefined && site !== 'same-origin') return false
  if (origin !== undefined) return ownOrigins.includes(origin)
  return site === 'same-origin'
}

/**
 * What a page of ours fetches by itself: Sec-Fetch-Site says so; where a browser does not send it (plain HTTP under another name than
 * localhost), Origin or Referer does. A request that says nothing of the kind is no page's.
 */
export const isOwnFetch = (request: FastifyRequest, ownOrigins: readonly string[]): boolean => {
  const { origin, referer, 'sec-fetch-site': site } = request.headers
  if (origin !== undefined && !ownOrigins.includes(origin)) return false
  if (site !== undefined) return site === 'same-origin'
  return origin !== undefined || (referer !== undefined && URL.canParse(referer) && ownOrigins.includes(new URL(referer).origin))
}

/**
 * Origins under which this request's page may have been loaded. The Host guard has already held the name against its list. Under the name of
 * BGTASK_PUBLIC_URL only that: with https there, a page that somebody has put under http of the same name is another's.
 */
export const originsOf = (request: FastifyRequest, publicUrl: string | null): string[] => {
  const host = request.headers.host?.toLowerCase() ?? ''
  return [publicUrl !== null && hostsOf(publicUrl).includes(host) ? publicUrl : `http://${host}`]
}
