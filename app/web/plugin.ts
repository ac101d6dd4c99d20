import type { FastifyInstance } from 'fastify'
import { BgtaskError } from '../errors.ts'
import { mountPanel, type PanelOptions } from './mount-panel.ts'

/**
 * The panel in somebody else's Fastify: at the prefix with which it is registered. Only two routes of ours are there, which hand on the bare
 * request before anything of the application has read it. @throws BgtaskError `misconfigured`, `database-away`
 */
export const registerPanel = async (host: FastifyInstance, { autostart }: PanelOptions): Promise<void> => {
  if ((host.initialConfig as { http2?: boolean }).http2)
    throw new BgtaskError('misconfigured', 'bgtask cannot be registered in a Fastify that speaks HTTP/2: leave that to the proxy in front.')
  const panel = await mountPanel({ prefix: host.prefix || undefined, autostart })
  const base = host.prefix === '' ? panel.prefix : ''
  for (const url of [base, `${base}/*`]) {
    host.route({
      method: host.supportedMethods,
      url,
      exposeHeadRoute: false,
      // Here nothing has been parsed yet; and what is hijacked gets no header and no error page of the application's.
      onRequest: async (request, reply) => {
        reply.hijack()
        panel.handle(request.raw, reply.raw)
      },
      handler: async () => undefined,
    })
  }
  host.addHook('onListen', async () => panel.listensAt(host.listeningOrigin))
  host.addHook('preClose', async () => panel.endStreams())
  host.addHook('onClose', () => panel.close())
}
