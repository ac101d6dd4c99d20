import type { IncomingMessage, ServerResponse } from 'node:http'
import { checkPrefix, loadConfig } from '../config.ts'
import { bareHeaders } from './bare-answer.ts'
import { attendPanel, preparePanel } from './prepare-panel.ts'
import { buildServer } from './server.ts'

export interface PanelOptions {
  /** The address of the panel; all that is ours lies below it. Default BGTASK_PREFIX, which is `/admin`. */
  prefix?: string | undefined
  /** The loop starts with the application. Default BGTASK_AUTOSTART, which is on. */
  autostart?: boolean | undefined
}

/** The panel as a part of somebody else's application. */
export interface MountedPanel {
  prefix: string
  /** Answers whatever is asked below the prefix, like a request listener of node:http. What was set on the response before is taken away. */
  handle(request: IncomingMessage, response: ServerResponse): void
  /** Told once the application listens, with its origin (`http://127.0.0.1:3000`): the first administrator's link is then whole. Fastify does so by itself. */
  listensAt(origin: string): void
  /** Ends the live streams, so that a server which waits for its connections can close. */
  endStreams(): void
  /** Ends all of it but the loop, which goes on. */
  close(): Promise<void>
}

/**
 * The panel with nothing below it: a server hands it requests. It has an instance of Fastify, a router, hooks and parsers of its own, so that
 * nothing that the application has registered reaches in here, and nothing of ours reaches out.
 * @param address of the application, for the first administrator's link; without it and BGTASK_PUBLIC_URL the link is told without its host
 * @throws BgtaskError `misconfigured`, `database-away`
 */
export const mountPanel = async (options: PanelOptions = {}): Promise<MountedPanel> => {
  const found = await loadConfig()
  const prefix = checkPrefix('The option prefix', options.prefix ?? found.prefix)
  const config = { ...found, prefix, autostart: options.autostart ?? found.autostart }
  const background = await preparePanel(config)
  const app = await buildServer(config, { background, mounted: true })
  await app.ready()
  const attending = await attendPanel(background, `${config.publicUrl ?? ''}${prefix}`)
  return {
    prefix,
    handle: (request, response) => {
      for (const name of response.getHeaderNames()) response.removeHeader(name)
      // Express and others like it hand on the address without the part under which they were asked to.
      const { originalUrl } = request as { originalUrl?: string }
      if (originalUrl !== undefined) request.url = originalUrl
      if (wasRead(request)) return refuseRead(response)
      app.routing(request, response)
    },
    listensAt: attending.listensAt,
    endStreams: () => app.endStreams(),
    close: async () => {
      await Promise.all([attending.end(), app.close()])
      await background.close()
    },
  }
}

/** The body is gone, and nothing would ever come of waiting for it. */
const wasRead = (request: IncomingMessage): boolean =>
  (request.readableEnded || request.readableDidRead) &&
  (request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0)

const refuseRead = (response: ServerResponse) => {
  const sentence =
    'The body of this request was read before bgtask got it: hand requests to bgtask before any body parser (express.json and the like).\n'
  response.writeHead(500, {
    ...bareHeaders({ secure: false }),
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(sentence),
    connection: 'close',
  })
  response.end(sentence)
}
