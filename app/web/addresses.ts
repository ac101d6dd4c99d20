import type { FastifyRequest } from 'fastify'

/**
 * Where the panel stands. What roles.ts and design.md call `/admin…` is below `root`; `/api/v1`, `/cron/<key>`, `/healthz` and `/metrics` are
 * below `top`. Pages write `${root}/…`; routes are registered without either, because the server gives the prefix.
 */
export interface Addresses {
  /** `/admin` unless BGTASK_PREFIX or the application that we are a part of says otherwise. Never ends with a slash. */
  root: string
  /** Empty where the server is ours. In somebody else's application it is the same as `root`: all of it lies below one prefix there. */
  top: string
}

/** What design.md calls the panel's root, and roles.ts after it. */
export const canonicalRoot = '/admin'

/** @returns the address under which roles.ts and the tests know it, however the panel is mounted */
export const canonicalAddress = ({ root, top }: Addresses, url: string): string => {
  if (top !== '' && url.startsWith(`${top}/`) && besides.test(url.slice(top.length))) return url.slice(top.length)
  return url === root || url.startsWith(`${root}/`) ? `${canonicalRoot}${url.slice(root.length)}` : url
}

/** The name of the route that a request has met, as roles.ts has it. */
export const routeName = (addresses: Addresses, { method, routeOptions }: FastifyRequest): string =>
  `${method} ${canonicalAddress(addresses, routeOptions.url ?? '')}`

/** What stands beside the pages of the panel. */
const besides = /^\/(?:api|cron|healthz|metrics)(?:\/|$)/
