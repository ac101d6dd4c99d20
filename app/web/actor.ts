import type { FastifyRequest } from 'fastify'
import type { Actor } from '../api/audited.ts'
import { socketToken, tokenActor } from '../api/tokens.ts'

/** Who asks, for the audit. @param via of a person's request; default: a form of ours */
export const actorOf = (request: FastifyRequest, via: Actor['via'] = 'form'): Actor => ({
  name: request.token ? tokenActor(request.token) : (request.user?.name ?? null),
  // Over the socket there is none.
  ip: request.ip || null,
  via: request.token ? (request.token === socketToken ? 'unix-socket' : 'token') : via,
  ...(request.token ? { reach: { scopes: request.token.scopes } } : request.user ? { reach: { role: request.user.role } } : {}),
})
