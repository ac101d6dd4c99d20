import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'

/**
 * Whether the browser may have kept back the session: a link elsewhere brings no cookie of ours along (SameSite=Strict). Then there must be no
 * form, since its token would begin a new session in place of the one that may be there, and so sign the reader out.
 * Where the address is trustworthy (TLS, this machine) a browser says by Sec-Fetch-Site that it comes from elsewhere. Under a name without TLS
 * it says nothing; there a cookie of ours shows that they are not kept back, and one is given for that.
 */
export const mayBeKeptBack = (request: FastifyRequest, reply: FastifyReply, { publicUrl }: Pick<Config, 'publicUrl'>): boolean => {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined) return site === 'cross-site'
  if (publicUrl === null || !publicUrl.startsWith('http:') || request.headers.host?.toLowerCase() !== new URL(publicUrl).host) return false
  if (Object.keys(request.cookies).some(name => /^(?:known-)?bgtask-/.test(name))) return false
  reply.setCookie('bgtask-here', '1', { path: '/', sameSite: 'strict', httpOnly: true, maxAge: 60 })
  return true
}
