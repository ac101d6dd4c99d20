import type { RequestListener } from 'node:http'
import formbody from '@fastify/formbody'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RouteOptions,
  type Session,
} from 'fastify'
import type { Background } from '../api/background.ts'
import { listeningOf } from '../api/listening.ts'
import type { Config } from '../config.ts'
import { openLog } from '../log.ts'
import { redactionOf } from '../runs/redaction.ts'
import { findUserById, type User } from '../store/users.ts'
import { languages } from '../texts/format.ts'
import { chooseLanguage, translate } from '../texts/translate.ts'
import { registerAccount } from './account.ts'
import { type Addresses, canonicalAddress, routeName } from './addresses.ts'
import { sendApiError } from './api/answer.ts'
import { registerApi } from './api/register.ts'
import { registerArtifacts } from './artifacts.ts'
import { loadAssets } from './assets.ts'
import { registerAudit } from './audit.ts'
import { bareHeaders } from './bare-answer.ts'
import { apiPrefix, registerBearer } from './bearer.ts'
import { registerBulk } from './bulk.ts'
import { registerCommands } from './commands.ts'
import { compressPages } from './compress-pages.ts'
import { registerControllers } from './controllers.ts'
import { registerCron } from './cron.ts'
import { cronRefusal, registerCronAddress } from './cron-address.ts'
import { runCronAfterRequests } from './cron-after-request.ts'
import { registerCronKey } from './cron-key.ts'
import { registerDebug } from './debug.ts'
import { registerEditTask } from './edit-task.ts'
import { registerErrorPages, registerNotThere, WebError } from './error-pages.ts'
import { registerFailed } from './failed.ts'
import { guardSocket } from './guard-socket.ts'
import { registerHealthz } from './healthz.ts'
import { isForUs } from './host-guard.ts'
import { createHttpServer, httpLimits } from './http-server.ts'
import { registerKeys } from './keys.ts'
import { registerLive } from './live.ts'
import { createLiveHub } from './live-hub.ts'
import { registerLogin } from './login.ts'
import { registerLoginLink } from './login-link.ts'
import { registerLoginSecondFactor } from './login-second-factor.ts'
import { registerLoop } from './loop.ts'
import { collectMethods } from './methods-at.ts'
import { isOpenScrape } from './metrics/open-scrape.ts'
import { registerMetrics, timeRequests } from './metrics/register.ts'
import { registerMoveTask } from './move-task.ts'
import { registerNewTask } from './new-task.ts'
import { registerNotifications } from './notifications.ts'
import { registerOutputLines } from './output-lines.ts'
import { registerOverview } from './overview.ts'
import { type Panel, themes, timeForms } from './panel.ts'
import { registerPostMortem } from './post-mortem.ts'
import { registerPreferences } from './preferences.ts'
import { guardProof, registerProve } from './prove.ts'
import { rateLimiting } from './rate-limits.ts'
import { createPages } from './render.ts'
import { registerReply } from './reply.ts'
import { isOwnChange, originsOf } from './request-class.ts'
import { mayAct, routeRoles, tokenRoutes } from './roles.ts'
import { registerSchedules } from './schedules.ts'
import { registerSecondFactor } from './second-factor.ts'
import { registerSessions } from './session.ts'
import { readSessionSecret } from './session-secret.ts'
import { registerSetup } from './setup.ts'
import { registerStatus } from './status.ts'
import { registerTaskPage } from './task.ts'
import { registerTaskActs } from './task-acts.ts'
import { registerTaskList } from './task-list.ts'
import { registerTokens } from './tokens.ts'
import { registerUsers } from './users.ts'

/**
 * The panel, complete but not yet listening. Guards stand in the order in which a request meets them: Host, headers, session, role,
 * origin, token. Closing it ends the live streams and the debug runs; the background stays open.
 * @param options.mounted its requests come from somebody else's server, which has the limits of connections and says HSTS, or not; all
 * addresses lie below the prefix then, and app/controllers is not looked at. Default false
 */
export const buildServer = async (
  config: Config,
  { background, mounted = false }: { background: Background; mounted?: boolean },
): Promise<FastifyInstance> => {
  const log: FastifyBaseLogger = openLog('web', { BGTASK_LOG_LEVEL: process.env.BGTASK_LOG_LEVEL ?? 'warn' }, redactionOf(config).text)
  const secure = !mounted && (config.publicUrl?.startsWith('https:') ?? false)
  const addresses: Addresses = { root: config.prefix, top: mounted ? config.prefix : '' }
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    ...(mounted ? {} : ownServer({ secure })),
    bodyLimit: httpLimits.bodyBytes,
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: true,
    frameworkErrors: (_error, request, reply) => answerUnreadable(config, request, reply, { secure, addresses }),
    // A proxy with TLS says by X-Forwarded-Proto that the reader's side is safe, and by X-Forwarded-For who reads.
    trustProxy: config.trustProxy.length > 0 ? [...config.trustProxy] : false,
  })
  const { root } = addresses
  const assets = loadAssets(root)
  const pages = createPages(assets, { ...addresses, isOpen: !mounted && listeningOf(config) === 'open' })
  const panel: Panel = {
    ...addresses,
    config,
    background,
    assets,
    pages,
    live: createLiveHub({ config, background, pages, root, report: error => log.error(error) }),
    secret: readSessionSecret(config.runtime),
    databaseAwaySince: null,
  }
  app.removeContentTypeParser('text/plain')
  app.decorateRequest('user', null)
  app.decorateRequest('language', 'en')
  app.decorateRequest('theme', 'system')
  app.decorateRequest('times', 'relative')
  await registerHeaders(app, { secure })
  guardHost(app, config)
  guardSocket(app, panel)
  demandRoles(app, addresses)
  const methodsAt = collectMethods(app)
  const times = timeRequests(app, addresses)
  registerErrorPages(app, panel)
  await app.register(rateLimit, rateLimiting)
  registerBearer(app, panel, methodsAt)
  await app.register(async inner => assets.register(inner), { prefix: root })
  await app.register(
    async inner => {
      registerHealthz(inner, panel)
      await registerCronAddress(inner, panel)
      await registerApi(inner, panel)
    },
    { prefix: panel.top },
  )
  runCronAfterRequests(app, panel)
  await app.register(async inner => {
    registerNotThere(inner, panel, methodsAt)
    await registerPages(inner, panel)
    await inner.register(async scrapes => registerMetrics(scrapes, panel, times), { prefix: panel.top })
  })
  app.decorate('endStreams', () => panel.live.close())
  app.addHook('onClose', async () => panel.live.close())
  return app
}

const ownServer = ({ secure }: { secure: boolean }) => ({
  serverFactory: (handler: RequestListener) => createHttpServer(handler, { secure }),
  // The server below does this itself.
  clientErrorHandler: () => undefined,
})

const registerPages = async (app: FastifyInstance, panel: Panel) => {
  await registerSessions(app, panel)
  await app.register(formbody, { bodyLimit: httpLimits.bodyBytes })
  registerReply(app, panel)
  compressPages(app)
  recogniseReader(app, panel)
  guardRole(app, panel)
  guardChange(app, panel)
  guardProof(app, panel)
  if (panel.top === '') app.get('/', async (_request, reply) => reply.redirect(panel.root, 303))
  await app.register(async pages => registerOwnPages(pages, panel), { prefix: panel.root })
  if (panel.top === '') await registerControllers(app, panel)
}

/** Below the panel's root: `/core/bgtask` here is `/admin/core/bgtask` in roles.ts and, unless it is mounted elsewhere, in the browser. */
const registerOwnPages = (app: FastifyInstance, panel: Panel) => {
  registerProve(app, panel)
  registerLogin(app, panel)
  registerLoginSecondFactor(app, panel)
  registerLoginLink(app, panel)
  registerSetup(app, panel)
  registerAccount(app, panel)
  registerSecondFactor(app, panel)
  registerUsers(app, panel)
  registerSchedules(app, panel)
  registerTokens(app, panel)
  registerNotifications(app, panel)
  registerPreferences(app, panel)
  registerKeys(app)
  registerOverview(app, panel)
  registerLoop(app, panel)
  registerTaskList(app, panel)
  registerBulk(app, panel)
  registerNewTask(app, panel)
  registerDebug(app, panel)
  registerFailed(app, panel)
  registerTaskPage(app, panel)
  registerOutputLines(app, panel)
  registerArtifacts(app, panel)
  registerPostMortem(app, panel)
  registerTaskActs(app, panel)
  registerCommands(app, panel)
  registerMoveTask(app, panel)
  registerEditTask(app, panel)
  registerStatus(app, panel)
  registerCron(app, panel)
  registerCronKey(app, panel)
  registerAudit(app, panel)
  registerLive(app, panel)
}

/** An address that is no address is answered before any hook runs, so it brings its own headers along. */
const answerUnreadable = (
  config: Config,
  request: FastifyRequest,
  reply: FastifyReply,
  { secure, addresses }: { secure: boolean; addresses: Addresses },
): void => {
  const path = canonicalAddress(addresses, request.url)
  const forUs = isForUs(request, config)
  const unreadable = `This address cannot be read: look for a stray % in it, or go to ${config.prefix}.`
  const answers = { cron: [403, cronRefusal], page: [400, unreadable], host: [421, translate('en', 'error.host')] } as const
  if (forUs && path.startsWith(`${apiPrefix}/`)) {
    sendApiError(reply.headers(bareHeaders({ secure })), 400, 'unreadable', 'This address cannot be read: look for a stray % in it.')
    return
  }
  const isCron = /^\/cron(?:\/|$)/.test(path)
  const [status, sentence] = answers[!forUs ? 'host' : isCron ? 'cron' : 'page']
  reply
    .code(status)
    // The address may hold the key of cron.
    .headers({ ...bareHeaders({ secure }), ...(isCron ? { 'referrer-policy': 'no-referrer' } : {}) })
    .type('text/plain; charset=utf-8')
    .send(`${sentence}\n`)
}

/** Closed unless said otherwise: a route for which nobody named a role does not let the panel start. */
const demandRoles = (app: FastifyInstance, addresses: Addresses) => {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => {
    routes.push(route)
  })
  app.addHook('onReady', async () => {
    for (const route of routes) {
      for (const method of [route.method].flat()) {
        const name = `${method} ${canonicalAddress(addresses, route.url)}`
        if (route.config?.role === undefined && ![routeRoles, tokenRoutes].some(table => name in table))
          throw new Error(`Nobody said who may ask for ${name}: name its role in app/web/roles.ts.`)
      }
    }
  })
}

const guardHost = (app: FastifyInstance, config: Config) =>
  app.addHook('onRequest', async request => {
    if (!isForUs(request, config)) throw new WebError(421, 'error.host')
  })

const registerHeaders = async (app: FastifyInstance, { secure }: { secure: boolean }) => {
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
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store')
    // Whoever is refused before the cookies are read is told so in a language of theirs, too.
    request.language = chooseLanguage(request.headers['accept-language'])
  })
}

const recogniseReader = (app: FastifyInstance, panel: Panel) =>
  app.addHook('onRequest', async request => {
    const { 'bgtask-language': language, 'bgtask-theme': theme, 'bgtask-times': times } = request.cookies
    request.language = languages.find(known => known === language) ?? request.language
    request.theme = themes.find(known => known === theme) ?? 'system'
    request.times = timeForms.find(known => known === times) ?? 'relative'
    const { userId } = request.session
    if (userId === undefined) return
    const user = await findUserById(panel.background.db, userId)
    panel.databaseAwaySince = null
    if (user && isStillGood(request.session, user)) request.user = { id: user.id, name: user.name, role: user.role }
    else request.session.userId = undefined
  })

/** A login that was under way while the password was changed, or the second factor turned on, may be answered after all sessions were ended. */
const isStillGood = ({ passwordChangedAt, secondFactor }: Session, user: User) =>
  passwordChangedAt === user.passwordChangedAt && (secondFactor === true || user.totpSecret === null)

const guardRole = (app: FastifyInstance, panel: Panel) => {
  app.decorate(
    'requireLogin',
    (role: Parameters<typeof mayAct>[1] = 'viewer') =>
      async (request: FastifyRequest) =>
        demand(request, role),
  )
  app.addHook('onRequest', async request => {
    // What is not there is nobody's secret; the page for it comes from the handler of unknown addresses.
    // A token's scopes were held against the table before.
    if (request.is404 || request.token || isOpenScrape(panel, request)) return
    const role = request.routeOptions.config.role ?? routeRoles[routeName(panel, request)]
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
