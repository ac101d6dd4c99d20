import type { FastifyInstance } from 'fastify'

/** What the keyboard can do, as a page; with script, `?` shows the same on every page. */
export const registerKeys = (app: FastifyInstance) => {
  app.get('/keys', async (_request, reply) => reply.page('keys'))
}
