import formbody from '@fastify/formbody'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RouteOptions,
} from 'fastify'
import type { Background } from '../api/background.ts'
import type { Config } from '../config.ts'
import { openLog } from '../log.ts'
import { findUserById } from '../store/users.ts'
import { languages } from '../texts/format.ts'
import { chooseLanguage } from '../texts/translate.ts'
import { registerAccount } from './account.ts'
import { loadAssets } from './assets.ts'
import { registerControllers } from './controllers.ts'
import { registerDebug } from './debug.ts'
import { registerErrorPages, WebError } from './error-pages.ts'
import { registerHealthz } from './healthz.ts'
import { isForUs } from './host-guard.ts'
import { registerLive } from './live.ts'
import { createLiveHub } from './live-hub.ts'
import { registerLogin } from './login.ts'
import { registerLoop } from './loop.ts'
import { registerNewTask } from './new-task.ts'
import { registerOverview } from './overview.ts'
import { type Panel, themes } from './panel.ts'
import { registerPreferences } from './preferences.ts'
import { createPages } from './render.ts'
import { registerReply } from './reply.ts'
import { isOwnChange, originsOf } from './request-class.ts'
import { mayAct, routeRoles } from './roles.ts'
import { registerSessions } from './session.ts'
import { readSessionSecret } from './session-secret.ts'
import { registerSetup } from './setup.ts'
import { registerStatus } from './status.ts'
import { registerTaskPage } from './task.ts'
import { registerTaskActs } from './task-acts.ts'
import { registerTaskList } from './task-list.ts'

/**
 * The panel, complete but not yet listening. Guards stand in the order in which a request meets them: Host, headers, session, role,
 * origin, token. Closing it ends the live streams and the debug runs; the background stays open.
 */
export const buildServer = async (config: Config, { background }: { background: Background }): Promise<FastifyInstance> => {
  const log: FastifyBaseLogger = openLog('web', { BGTASK_LOG_LEVEL: process.env.BGTASK_LOG_LEVEL ?? 'warn' })
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    requestTimeout: 30_000,
    bodyLimit: 256 * 1024,
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: true,
    frameworkErrors: answerUnreadable,
    // A proxy with TLS says by X-Forwarded-Proto that the reader's side is safe, and by X-Forwarded-For who reads.
    trustProxy: config.trustProxy.length > 0 ? [...config.trustProxy] : false,
  })
  const assets = loadAssets()
  const pages = createPages(assets)
  const panel: Panel = {
    config,
    background,
    assets,
    pages,
    live: createLiveHub({ config, background, pages, report: error => log.error(error) }),
    secret: readSessionSecret(config.runtime),
    databaseAwaySince: null,
  }
  app.removeContentTypeParser('text/plain')
  app.decorateRequest('user', null)
  app.decorateRequest('language', 'en')
  app.decorateRequest('theme', 'system')
  guardHost(app, config)
  await registerHeaders(app, config)
  demandRoles(app)
  assets.register(app)
  registerHealthz(app, panel)
  await app.register(async inner => registerPages(inner, panel))
  app.addHook('onClose', async () => panel.live.close())
  return app
}

const registerPages = async (app: FastifyInstance, panel: Panel) => {
  await registerSessions(app, panel)
  await app.register(formbody, { bodyLimit: 256 * 1024 })
  await app.register(rateLimit, { global: false })
  registerReply(app, panel)
  registerErrorPages(app, panel)
  recogniseReader(app, panel)
  guardRole(app)
  guardChange(app, panel)
  app.get('/', async (_request, reply) => reply.redirect('/admin', 303))
  registerLogin(app, panel)
  registerSetup(app, panel)
  registerAccount(app, panel)
  registerPreferences(app)
  registerOverview(app, panel)
  registerLoop(app, panel)
  registerTaskList(app, panel)
  registerNewTask(app, panel)
  registerDebug(app, panel)
  registerTaskPage(app, panel)
  registerTaskActs(app, panel)
  registerStatus(app, panel)
  registerLive(app, panel)
  await registerControllers(app, panel)
}

/** An address that is no address is answered before any hook runs, so it brings its own headers along. */
const answerUnreadable = (_error: FastifyError, _request: FastifyRequest, reply: FastifyReply) => {
  reply
    .code(400)
    .headers({
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    })
    .type('text/plain; charset=utf-8')
    .send('This address cannot be read: look for a stray % in it, or go to /admin.\n')
}

/** Closed unless said otherwise: a route for which nobody named a role does not let the panel start. */
const demandRoles = (app: FastifyInstance) => {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => {
    routes.push(route)
  })
  app.addHook('onReady', async () => {
    for (const route of routes) {
      for (const method of [route.method].flat()) {
        if (route.config?.role === undefined && routeRoles[`${method} ${route.url}`] === undefined) {
          throw new Error(`Nobody said who may ask for ${method} ${route.url}: name its role in app/web/roles.ts.`)
        }
      }
    }
  })
}

const guardHost = (app: FastifyInstance, { publicUrl, port }: Config) =>
  app.addHook('onRequest', async request => {
    if (!isForUs(request, { publicUrl, port })) throw new WebError(421, 'error.host')
  })

const registerHeaders = async (app: FastifyInstance, config: Config) => {
  const secure = config.publicUrl?.startsWith('https:') ?? false
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    strictTransportSecurity: secure,
    referrerPolicy: { policy: 'same-origin' },
    frameguard: { action: 'deny' },
  })
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })
}

const recogniseReader = (app: FastifyInstance, panel: Panel) =>
  app.addHook('onRequest', async request => {
    const { 'bgtask-language': language, 'bgtask-theme': theme } = request.cookies
    request.language = languages.find(known => known === language) ?? chooseLanguage(request.headers['accept-language'])
    request.theme = themes.find(known => known === theme) ?? 'system'
    const { userId } = request.session
    if (userId === undefined) return
    const user = await findUserById(panel.background.db, userId)
    panel.databaseAwaySince = null
    if (user) request.user = { id: user.id, name: user.name, role: user.role }
  })

const guardRole = (app: FastifyInstance) => {
  app.decorate(
    'requireLogin',
    (role: Parameters<typeof mayAct>[1] = 'viewer') =>
      async (request: FastifyRequest) =>
        demand(request, role),
  )
  app.addHook('onRequest', async request => {
    // What is not there is nobody's secret; the page for it comes from the handler of unknown addresses.
    if (request.is404) return
    const role = request.routeOptions.config.role ?? routeRoles[`${request.method} ${request.routeOptions.url}`]
    if (role !== 'public') demand(request, role ?? 'admin')
  })
}

const demand = (request: FastifyRequest, role: Parameters<typeof mayAct>[1]) => {
  if (!request.user) throw new WebError(401, 'error.signIn')
  if (!mayAct(request.user.role, role)) throw new WebError(403, 'error.role', { role, own: request.user.role })
}

/** Every change comes from a page of ours (Origin, Sec-Fetch-Site) and carries the token that only such a page can know. */
const guardChange = (app: FastifyInstance, panel: Panel) => {
  app.addHook('onRequest', async request => {
    if (request.method === 'GET' || request.method === 'HEAD' || request.is404) return
    if (!isOwnChange(request, originsOf(request, panel.config.publicUrl))) throw new WebError(403, 'error.origin')
  })
  app.addHook('preHandler', (request, reply, done) => {
    if (request.method === 'GET' || request.method === 'HEAD' || request.is404) return done()
    app.csrfProtection(request, reply, done)
  })
}
