import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

/** One request that a hostile page makes a visitor's browser send. */
export interface Attack {
  vector: Vector
  /** Whole address, with something in its query by which it can be told from the others. */
  url: string
  fields?: Record<string, string>
}

/** What needs no second page: a page sends any number of these at once. */
export const quietVectors = [
  'img',
  'iframe',
  'iframe sandboxed',
  'fetch no-cors',
  'fetch cors',
  'fetch keepalive',
  'prefetch',
  'prefetch by rules',
  'prerender by rules',
  'script',
  'module',
  'object',
  'embed',
  'css url',
  'css import',
  'stylesheet',
  'video',
  'event source',
] as const
/** Leads the visitor to the address. */
export const leadingVectors = [
  'link click',
  'link click without referrer',
  'link in a new tab',
  'form GET',
  'meta refresh',
  'location',
  'window.open',
  '302 after a click',
  'meta refresh after a 302',
  'refresh header',
] as const
export const quietPosts = [
  'fetch POST form',
  'fetch POST text',
  'fetch POST json',
  'beacon',
  'ping',
  'form POST in a frame',
  'fetch POST by a 307',
] as const
export const leadingPosts = [
  'form POST',
  'form POST of text',
  'form POST with files',
  'form POST without referrer',
  'form POST by a 307',
] as const

export type Vector = (typeof quietVectors | typeof leadingVectors | typeof quietPosts | typeof leadingPosts)[number]

/** A site of somebody else. */
export interface ForeignSite {
  port: number
  /** Address of a page under the name given. Its function carryOut(attacks) makes requests, some by a click on #go. */
  page(host: string): string
  /** An address that answers with a redirect. */
  redirect(host: string, to: string, status?: 302 | 307): string
  close(): Promise<void>
}

export const startForeignSite = async (): Promise<ForeignSite> => {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://x')
    const to = searchParams.get('to') ?? ''
    request.resume()
    response.setHeader('connection', 'close')
    response.setHeader('cache-control', 'no-store')
    if (pathname === '/redirect') return response.writeHead(Number(searchParams.get('status')), { location: to }).end()
    if (pathname === '/refresh') return response.writeHead(200, { 'content-type': 'text/html', refresh: `0;url=${to}` }).end('<p>refresh')
    if (pathname === '/meta') {
      response.writeHead(200, { 'content-type': 'text/html' })
      return response.end(`<meta http-equiv="refresh" content="0;url=${to.replaceAll('&', '&amp;').replaceAll('"', '&quot;')}">`)
    }
    if (pathname === '/attack') return response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(attackPage)
    if (pathname === '/carry-out.js') return response.writeHead(200, { 'content-type': 'text/javascript' }).end(carryOut)
    return response.writeHead(404).end()
  })
  const port = await listening(server)
  const at = (host: string, path: string) => `http://${host.includes(':') ? host : `${host}:${port}`}${path}`
  return {
    port,
    // Redirects come from the same site; a name that is to turn away has them under another one.
    page: host => at(host, `/attack?home=${encodeURIComponent(at(host.startsWith('rebound') ? 'evil.test' : host, ''))}`),
    redirect: (host, to, status = 302) => at(host, `/redirect?status=${status}&to=${encodeURIComponent(to)}`),
    close: () => {
      const done = closed(server)
      server.closeAllConnections()
      return done
    },
  }
}

/** A name server in the hands of somebody else, as seen from a browser: connections go to one port first, and later to another. */
export const startSwitch = async (first: number): Promise<{ port: number; turnTo(port: number): void; close(): Promise<void> }> => {
  let target = first
  const open = new Set<Socket>()
  const server = createTcpServer(socket => {
    const onward = connect(target, '127.0.0.1')
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      open.add(from)
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        open.delete(from)
        to.destroy()
      })
    }
  })
  const port = await listening(server)
  return {
    port,
    turnTo(other) {
      target = other
      for (const socket of open) socket.destroy()
    },
    close: () => {
      for (const socket of open) socket.destroy()
      return closed(server)
    },
  }
}

const listening = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })

const closed = (server: Server): Promise<void> =>
  new Promise((resolve, reject) => {
    server.close(error => (error ? reject(error) : resolve()))
  })

const carryOut = readFileSync(join(import.meta.dirname, 'carry-out.js'))
const attackPage =
  '<!doctype html><meta charset="utf-8"><title>somebody else</title><body><p>Nothing to see.</p><script src="/carry-out.js"></script>'
