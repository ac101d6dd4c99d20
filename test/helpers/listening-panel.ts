import { createHash, randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { type Background, openBackground } from '../../app/api/background.ts'
import { type Config, loadConfig } from '../../app/config.ts'
import { removeFlag } from '../../app/runs/flags.ts'
import { identify } from '../../app/runs/process-identity.ts'
import { prepareRuntimeFolder, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor, removeSupervisor, writeSupervisor } from '../../app/runs/supervisor-file.ts'
import { canonicalAddress, canonicalRoot } from '../../app/web/addresses.ts'
import type { Role } from '../../app/web/roles.ts'
import { buildServer } from '../../app/web/server.ts'
import { password } from './browser.ts'
import { createFit } from './fits-document.ts'
import { newUser } from './new-user.ts'
import { until } from './scene.ts'
import { linkCompileCache } from './shared-compile-cache.ts'
import { shareDescriptions } from './shared-descriptions.ts'
import { watchRows } from './watch-rows.ts'

const root = join(import.meta.dirname, '..', '..')

/**
 * The whole panel in this process, listening on a port of its own: what a test sends goes over a socket, as everybody's does.
 * With BGTASK_TEST_PREFIX it is mounted there; what is asked and answered is the same as at /admin, so that every test can be tried so.
 */
export interface ListeningPanel {
  app: FastifyInstance
  background: Background
  config: Config
  runtime: string
  port: number
  origin: string
  /** Every route that was registered, one for each method. */
  routes: { name: string; method: string; url: string; role: Role | 'public' | undefined; fresh: boolean }[]
  /** Every request that reached the panel, with the status of its answer once that is sent. */
  seen: { request: IncomingMessage; status: number | null }[]
  ask(asked: Asked): Promise<Answer>
  /** Bytes as they are; resolves with all that came back when the other side ended, or said nothing for a while. */
  wire(bytes: string | Buffer): Promise<string>
  /** Users `viewer`, `operator` and `admin` are there. */
  signIn(name: string, more?: { from?: string; password?: string }): Promise<SignedIn>
  sql(statement: string, ...values: SQLInputValue[]): Record<string, unknown>[]
  /** What a request may have changed: all rows but those of visitors without a name, all flags, and whether the loop lives. */
  snapshot(): string
  /** Lets the loop seem to run: this process under a name of a supervisor, which only never looks at its flags. @returns its epoch */
  standIn(): string
  /** Ends that, and takes away what it was told. */
  standDown(): void
  /** Ends the supervisor that a request started, and waits until it is gone. */
  endLoop(): Promise<void>
  /** Ends everything, and removes the runtime folder. */
  close(): Promise<void>
}

export interface Asked {
  method?: string
  url: string
  headers?: Record<string, string>
  /** A form's fields, or a body as it is. */
  body?: Record<string, string> | string | Buffer
  /** Of whom: the cookie, and for a form the token. */
  as?: Pick<SignedIn, 'cookie' | 'csrf'> | null
  /** Address in 127.0.0.0/8 that it comes from; limits count by it. */
  from?: string
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

export interface SignedIn {
  cookie: string
  csrf: string
  /** Under what the session lies in its table. */
  hash: string
}

/** Over this long without a byte, wire() looks no further. */
const quietMs = 3_000

export const listenPanel = async ({
  env = {},
  port = 0,
  users = true,
}: {
  env?: Record<string, string>
  port?: number
  /** false: it is a second panel on a database that has them. */
  users?: boolean
} = {}): Promise<ListeningPanel> => {
  const runtime = mkdtempSync(join(tmpdir(), 'bgtask-listening-'))
  linkCompileCache(runtime)
  shareDescriptions(runtime)
  const config = await loadConfig({
    BGTASK_RUNTIME: runtime,
    BGTASK_ACTIONS: join(root, 'test', 'fixtures', 'actions'),
    PORT: String(port),
    BGTASK_PREFIX: process.env.BGTASK_TEST_PREFIX ?? '/admin',
    ...env,
  })
  prepareRuntimeFolder(runtime)
  const background = await openBackground(config)
  for (const role of users ? (['viewer', 'operator', 'admin'] as const) : []) await newUser(background.db, { name: role, role })
  const { app, routes } = await withRoutes(
    () => buildServer(config, { background }),
    url => canonicalAddress({ root: config.prefix, top: '' }, url),
  )
  await app.listen({ host: '127.0.0.1', port })
  const ownPort = (app.server.address() as { port: number }).port
  const origin = config.publicUrl ?? `http://127.0.0.1:${ownPort}`
  const database = new DatabaseSync(join(runtime, 'bgtask.sqlite'), { timeout: 10_000 })
  const seen: ListeningPanel['seen'] = []
  const entries = new WeakMap<IncomingMessage, ListeningPanel['seen'][number]>()
  const begun = (message: unknown) => {
    const { request, server } = message as { request: IncomingMessage; server: unknown }
    if (server !== app.server) return
    const entry = { request, status: null }
    entries.set(request, entry)
    seen.push(entry)
  }
  const answered = (message: unknown) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse }
    const entry = entries.get(request)
    if (entry) entry.status = response.statusCode
  }
  subscribe('http.server.request.start', begun)
  subscribe('http.server.response.finish', answered)

  const sql = (statement: string, ...values: SQLInputValue[]) => database.prepare(statement).all(...values) as Record<string, unknown>[]

  let watched: (() => unknown[]) | undefined
  const rows = () => {
    watched ??= watchRows(sql)
    return watched()
  }

  const mounted = (text: string) => text.replace(/\/admin(?=$|[/?#])/, config.prefix)
  const canonical = (text: string) => (config.prefix === canonicalRoot ? text : text.replaceAll(config.prefix, canonicalRoot))

  let fit: Promise<ReturnType<typeof createFit>> | undefined
  /** Whatever the API answers, in any test, is what its document says. */
  const ask = async (asked: Asked): Promise<Answer> => {
    const answer = await send(asked)
    const { method = 'GET', url } = asked
    if (!/^\/api\/v1(?:[/?]|$)/.test(url) || method === 'HEAD' || beforeAnyRoute.has(answer.status)) return answer
    fit ??= send({ url: '/api/v1/openapi.json', from: freshAddress() }).then(({ body }) => createFit(JSON.parse(body) as object))
    const contentType = answer.headers['content-type']
    const faults = (await fit).faultsOf({ method, url, status: answer.status, contentType, body: answer.body })
    if (faults.length === 0) return answer
    throw new Error(`${method} ${url} answers ${answer.status}, and not as its document says: ${faults.join('; ')}: ${answer.body}`)
  }

  /** Answered in plain text before the address is read: a wrong host, and a head that is too large. */
  const beforeAnyRoute = new Set([421, 431])

  const send = ({ method = 'GET', url, headers = {}, body, as = null, from = '127.0.0.1' }: Asked): Promise<Answer> => {
    const isForm = typeof body === 'object' && !Buffer.isBuffer(body)
    const payload = isForm ? new URLSearchParams({ ...(as ? { _csrf: as.csrf } : {}), ...body }).toString() : body
    const all: Record<string, string> = {
      host: new URL(origin).host,
      ...(as ? { cookie: as.cookie } : {}),
      ...(isForm ? { 'content-type': 'application/x-www-form-urlencoded', origin } : {}),
      ...(payload === undefined ? {} : { 'content-length': String(Buffer.byteLength(payload)) }),
      ...headers,
    }
    for (const [name, value] of Object.entries(all)) all[name] = name === 'referer' ? mounted(value) : value
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        { host: '127.0.0.1', port: ownPort, path: mounted(url), method, headers: all, localAddress: from, agent: false, setHost: false },
        response => {
          const answer = (text: string) => {
            const { location } = response.headers
            const all = location === undefined ? response.headers : { ...response.headers, location: canonical(location) }
            resolve({ status: response.statusCode!, headers: all, body: canonical(text) })
          }
          if (response.headers['content-type']?.startsWith('text/event-stream')) {
            // A stream goes on for ever: that it began is the answer.
            answer('')
            response.destroy()
            return
          }
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () => answer(Buffer.concat(chunks).toString()))
          response.on('error', reject)
        },
      )
      sent.on('error', reject)
      sent.end(payload)
    })
  }

  const signIn: ListeningPanel['signIn'] = async (name, { from = '127.0.0.1', password: given = password } = {}) => {
    // As a browser asks: what says nothing of where it comes from may be asked to come once more (kept-back.ts).
    const form = await ask({ url: '/admin/login', from, headers: { 'sec-fetch-site': 'none' } })
    const before = { cookie: cookieOf(form), csrf: tokenIn(form.body) }
    const answer = await ask({ method: 'POST', url: '/admin/login', as: before, body: { name, password: given }, from })
    if (answer.status !== 303) throw new Error(`${name} is not let in: ${answer.status} ${answer.body}`)
    const cookie = cookieOf(answer)
    const page = await ask({ url: '/admin/account', as: { cookie, csrf: '' }, from })
    return { cookie, csrf: tokenIn(page.body), hash: hashIn(cookie) }
  }

  const endLoop = async () => {
    const found = readSupervisor(runtime)
    if (!found || found.pid === process.pid) return
    try {
      process.kill(found.pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
    // Reaped, too: until then this process takes it for one that is starting.
    await until('the supervisor is gone', () => readSupervisor(runtime) === null && !existsSync(`/proc/${found.pid}`))
    removeSupervisor(runtime)
  }

  const standIn = () => {
    const now = Date.now()
    const epoch = `stand-in-${randomBytes(4).toString('hex')}`
    const self = { ...identify(process.pid)!, epoch, version: '0', startedAt: now, tickAt: now, phase: 'running' as const }
    writeSupervisor(runtime, { ...self, databaseAwaySince: null, unrecorded: 0, running: 0, loops: 0 })
    return epoch
  }
  const standDown = () => {
    removeSupervisor(runtime)
    for (const flag of [runtimePaths(runtime).stop, runtimePaths(runtime).reload]) removeFlag(flag)
  }

  const close = async () => {
    unsubscribe('http.server.request.start', begun)
    unsubscribe('http.server.response.finish', answered)
    await endLoop()
    await app.close()
    await background.close()
    database.close()
    rmSync(runtime, { recursive: true, force: true, maxRetries: 5 })
  }
  return {
    app,
    background,
    config,
    runtime,
    port: ownPort,
    origin,
    routes,
    seen,
    ask,
    wire: bytes => wire(ownPort, bytes),
    signIn,
    sql,
    snapshot: () => JSON.stringify([rows(), flagsOf(runtime), readSupervisor(runtime)?.epoch ?? null]),
    standIn,
    standDown,
    endLoop,
    close,
  }
}

let addresses = 0
/** Another address of this machine each time: limits count by address, and most tests are not about limits. */
export const freshAddress = (): string => {
  addresses++
  return `127.${1 + (Math.floor(addresses / 62_500) % 250)}.${1 + (Math.floor(addresses / 250) % 250)}.${1 + (addresses % 250)}`
}

export const cookieOf = ({ headers }: Pick<Answer, 'headers'>): string =>
  (headers['set-cookie'] ?? []).map(text => text.split(';')[0]).join('; ')
export const tokenIn = (html: string): string => /name="_csrf" value="([^"]+)"/.exec(html)?.[1] ?? ''

/** The table's key for the session that a cookie names; the cookie carries the id and its signature. */
const hashIn = (cookie: string): string => {
  const value = decodeURIComponent(/(?:^|; )(?:__Host-bgtask|bgtask-[^=]+)=([^;]+)/.exec(cookie)?.[1] ?? '')
  return createHash('sha256')
    .update(value.slice(0, value.lastIndexOf('.')))
    .digest('hex')
}

/** Fastify tells of each instance that it makes: a hook put on it there sees every route, whoever registers it. */
const withRoutes = async (build: () => Promise<FastifyInstance>, canonical: (url: string) => string) => {
  const routes: ListeningPanel['routes'] = []
  const collect = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', (route: RouteOptions) => {
      for (const method of [route.method].flat()) {
        routes.push({
          name: `${method} ${canonical(route.url)}`,
          method,
          url: canonical(route.url),
          get role() {
            return route.config?.role
          },
          get fresh() {
            return (route.config as { fresh?: boolean } | undefined)?.fresh === true
          },
        })
      }
    })
  }
  subscribe('fastify.initialization', collect)
  try {
    return { app: await build(), routes }
  } finally {
    unsubscribe('fastify.initialization', collect)
  }
}

const flagsOf = (runtime: string) =>
  readdirSync(runtime)
    .filter(name => /stop|hold|reload|first-run/.test(name))
    .map(name => [name, readFileSync(join(runtime, name), 'latin1')])

const wire = (port: number, bytes: string | Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setTimeout(quietMs, () => socket.destroy())
    socket.on('data', chunk => {
      answer += chunk.toString('latin1')
    })
    socket.on('close', () => resolve(answer))
    // The panel may close while we still write; what it said before counts.
    socket.on('error', error => ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED' ? reject(error) : resolve(answer)))
  })
