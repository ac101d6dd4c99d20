import type { FastifyRequest } from 'fastify'
import type { Actor } from '../api/audited.ts'

/** Who asks, for the audit. @param via default: a form of ours */
export const actorOf = (request: FastifyRequest, via: Actor['via'] = 'form'): Actor => ({
  name: request.user?.name ?? null,
  ip: request.ip,
  via,
})
