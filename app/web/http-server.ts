import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { bareAnswer, bareHeaders } from './bare-answer.ts'

/** What one connection may take, and all of them together. Times are milliseconds. */
export const httpLimits = {
  /** Beyond these a connection that has kept us waiting longest for a request is closed for each new one. */
  connections: 1_000,
  requestsPerConnection: 1_000,
  headerBytes: 16 * 1024,
  headers: 100,
  bodyBytes: 256 * 1024,
  /** For the head of a request, from the connection or from its first byte on. */
  headersMs: 10_000,
  /** For a whole request. */
  requestMs: 30_000,
  /** For one that a route reads piece by piece (`allowLong`). */
  longRequestMs: 600_000,
  /** Between two requests; longer than the proxies in front of us keep theirs (nginx: 60 s), so that they close first. */
  keepAliveMs: 65_000,
  /** A reader who takes nothing of what waits for it, for this long. */
  stalledMs: 60_000,
  /** How often the times are looked at. */
  checkMs: 2_000,
} as const

/**
 * The server below Fastify: what is slow, too large, too much, or no HTTP, ends here with a tidy answer and never reaches a hook.
 * An Upgrade is answered as if it had not been asked for, and the connection closed: Node drops what came right behind it, so a proxy that had
 * sent more would take the next answer for a wrong one.
 * @param secure the panel is reached by TLS: HSTS is said
 */
export const createHttpServer = (handler: RequestListener, { secure }: { secure: boolean }): Server => {
  const connections = keepRoom(httpLimits.connections)
  // Made once: hundreds of slow clients may be cut off in the same moment.
  const answers = Object.fromEntries(statuses.map(status => [status, bareAnswer(status, sentences[status], { secure })])) as Record<
    keyof typeof sentences,
    string
  >
  const limits = {
    maxHeaderSize: httpLimits.headerBytes,
    headersTimeout: httpLimits.headersMs,
    // What is not meant to take so long is ended sooner, below.
    requestTimeout: httpLimits.longRequestMs,
    keepAliveTimeout: httpLimits.keepAliveMs,
    connectionsCheckingInterval: httpLimits.checkMs,
    insecureHTTPParser: false,
    // A missing Host is refused by our own guard, as every other wrong one.
    requireHostHeader: false,
  }
  const server = createServer(limits, (request, response) => {
    connections.serve(request, response)
    if (request.headers.upgrade !== undefined) response.setHeader('connection', 'close')
    if (request.rawHeaders.length > 2 * httpLimits.headers) return refuse(response, 431)
    if (hasBody(request)) hurry(request)
    handler(request, response)
  })
  // What is beyond this number is dropped unseen, and a second Host with it: one more is let in, and found above.
  server.maxHeadersCount = httpLimits.headers + 1
  server.maxRequestsPerSocket = httpLimits.requestsPerConnection
  server.setTimeout(httpLimits.stalledMs, socket => {
    if (!connections.isAtWork(socket)) socket.destroy()
  })
  server.on('connection', connections.welcome)
  server.on('dropRequest', (_request, socket) => socket.destroy())
  server.on('checkExpectation', (_request, response) => refuse(response, 417))
  server.on('connect', (_request, socket) => end(socket, 405))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || connections.hasBegun(socket as Socket)) socket.destroy()
    else end(socket, statusOf(error))
  })
  const hurry = (request: IncomingMessage) => {
    const { socket } = request
    const late = setTimeout(() => {
      if (request.complete || mayTakeLong.has(request)) return
      if (connections.hasBegun(socket)) socket.destroy()
      else end(socket, 408)
    }, httpLimits.requestMs).unref()
    for (const over of ['end', 'close']) request.once(over, () => clearTimeout(late))
  }
  const refuse = (response: ServerResponse, status: keyof typeof sentences) => {
    const body = `${sentences[status]}\n`
    const headers = { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length, connection: 'close' }
    response.writeHead(status, { ...bareHeaders({ secure }), ...headers })
    response.end(body)
  }
  const end = (socket: Duplex, status: keyof typeof sentences) => {
    if (socket.destroyed || socket.writableEnded) return
    socket.on('error', () => socket.destroy())
    socket.end(answers[status])
    // Closed at once, with bytes of theirs unread, they would get a reset and not the answer.
    socket.resume()
    setTimeout(() => socket.destroy(), lingerMs).unref()
  }
  return server
}

/** The body of this request may take `longRequestMs`: its route reads it piece by piece, and has limits of its own. */
export const allowLong = (request: IncomingMessage): void => {
  mayTakeLong.add(request)
}
const mayTakeLong = new WeakSet<IncomingMessage>()

/** Keeps count of the connections, and knows which of them keep us waiting for a request. */
const keepRoom = (most: number) => {
  const open = new Map<Socket, ServerResponse | null>()
  /** The one that has kept us waiting longest stands first. */
  const waiting = new Set<Socket>()
  return {
    welcome: (socket: Socket) => {
      open.set(socket, null)
      waiting.add(socket)
      socket.once('close', () => {
        open.delete(socket)
        waiting.delete(socket)
      })
      if (open.size <= most) return
      const [longest] = waiting
      longest?.destroy()
    },
    serve: (request: IncomingMessage, response: ServerResponse) => {
      const { socket } = request
      open.set(socket, response)
      let isOver = false
      const received = () => {
        if (!isOver) waiting.delete(socket)
      }
      if (hasBody(request)) request.once('end', received)
      else received()
      response.once('close', () => {
        isOver = true
        if (open.get(socket) !== response) return
        open.set(socket, null)
        waiting.delete(socket)
        waiting.add(socket)
      })
    },
    /** Whether an answer is under way and nothing of it waits for the reader: a stream, or a page that is still being made. */
    isAtWork: (socket: Socket) => open.get(socket)?.writableEnded === false && socket.writableLength === 0,
    /** Whether an answer has begun, so that another one would be read as a part of it. */
    hasBegun: (socket: Socket) => open.get(socket)?.headersSent === true,
  }
}

const hasBody = ({ headers }: IncomingMessage) => headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/** How long one who was refused may take to read why. */
const lingerMs = 500

const statusOf = ({ code }: NodeJS.ErrnoException) =>
  code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400

const sentences = {
  400: 'This is no request that can be read.',
  405: 'This is no proxy.',
  408: 'The request took too long.',
  417: 'What the request expects (Expect) is not done here.',
  431: `The head of the request is too large: ${httpLimits.headerBytes / 1024} kB and ${httpLimits.headers} lines are taken.`,
} as const

const statuses = Object.keys(sentences).map(Number) as (keyof typeof sentences)[]
