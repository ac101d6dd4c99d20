import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type {
  FastifyBaseLogger,
  FastifyError,
  FastifyInstance,
  FastifyRequest,
  FastifyTypeProvider,
  RawServerDefault,
  RouteOptions,
} from 'fastify'
import { type Static, type TSchema, Type } from 'typebox'
import { isDeeperThan } from '../../api/check-json.ts'
import { showValue } from '../../api/show-value.ts'
import { BgtaskError } from '../../errors.ts'
import { routeName } from '../addresses.ts'
import { apiPrefix } from '../bearer.ts'
import { WebError } from '../explain-error.ts'
import type { Panel } from '../panel.ts'
import { rateLimits } from '../rate-limits.ts'
import { routeRoles } from '../roles.ts'
import { registerAddApi } from './add.ts'
import { answerApiError, UnreadableBody } from './answer.ts'
import { registerArtifactsApi } from './artifacts.ts'
import { registerCommandsApi } from './commands.ts'
import { registerCronApi } from './cron.ts'
import { deepestBody } from './deepest-body.ts'
import { registerEditsApi } from './edits.ts'
import { registerFailedApi } from './failed.ts'
import { inexact } from './inexact.ts'
import { registerLoopApi } from './loop.ts'
import { registerMoveApi } from './move.ts'
import { collectOpenApi } from './openapi.ts'
import { registerOutputApi } from './output.ts'
import { registerSchedulesApi } from './schedules.ts'
import { registerTasksApi } from './tasks.ts'
import { validatorCompiler } from './validate.ts'
import { registerWaitApi } from './wait.ts'

/** Where routes of the API are registered: what a request holds has the type that its schema says. */
export type Api = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, SchemaTypes>

export interface SchemaTypes extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: unknown
}

/**
 * What programs ask for, in JSON both ways. No session, no cookie and no form is known in here: bearer.ts has recognised the token and held
 * its scopes against the table of roles.ts before anything below is called.
 *
 * A route says by its schema what it is for (`summary`), what it takes (`params`, `querystring`, `body`) and what it answers (`response`,
 * `errors`). That checks what comes in, and makes the OpenAPI document. A change without a body schema takes no body.
 */
export const registerApi = (app: FastifyInstance, panel: Panel) =>
  app.register(
    async plain => {
      const api: Api = plain.withTypeProvider<SchemaTypes>()
      api.setErrorHandler((error: FastifyError, request, reply) => answerApiError(panel, request, reply, error))
      takeJsonOnly(plain)
      api.addHook('preParsing', takeNoEncoding)
      api.setValidatorCompiler(validatorCompiler)
      // Answers are told as they are: one that does not fit its schema is a fault for the tests to find, and not to be cut to fit.
      api.setSerializerCompiler(() => answer => JSON.stringify(answer))
      const document = collectOpenApi(plain, panel)
      api.addHook('onRoute', takeNoBodyUnasked)
      // Second to bearer.ts, should a route here ever be asked for in a way that it does not see.
      api.addHook('onRequest', async request => {
        if (!request.token && routeRoles[routeName(panel, request)] !== 'public') throw new WebError(401, 'error.signIn')
      })
      const schema = {
        summary: 'This document',
        description: 'Made of the schemas by which requests are checked. It tells nothing of this installation, so everybody may read it.',
        response: { 200: Type.Record(Type.String(), Type.Unknown(), { description: 'OpenAPI 3.1.' }) },
      }
      api.get('/openapi.json', { schema, config: { rateLimit: rateLimits.api } }, async () => document())
      registerAddApi(api, panel)
      registerTasksApi(api, panel)
      registerMoveApi(api, panel)
      registerEditsApi(api, panel)
      registerOutputApi(api, panel)
      registerWaitApi(api, panel)
      registerCommandsApi(api, panel)
      registerArtifactsApi(api, panel)
      registerFailedApi(api, panel)
      registerSchedulesApi(api, panel)
      registerLoopApi(api, panel)
      registerCronApi(api, panel)
    },
    { prefix: apiPrefix },
  )

const takeJsonOnly = (api: FastifyInstance) => {
  const parse = api.getDefaultJsonParser('error', 'error')
  api.removeAllContentTypeParsers()
  api.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    // Many clients name the type also when they send nothing.
    if (body.length === 0) return done(null, undefined)
    // Read as text all the same, it would be stored with other characters in it than were sent.
    if (!isUtf8(body)) return done(new UnreadableBody(400, 'The body is not UTF-8, as JSON has to be; send it in that encoding.'))
    const text = body.toString()
    parse(request, text, (error, value) => {
      // Before anything walks through it.
      if (!error && isDeeperThan(value, deepestBody))
        done(new BgtaskError('refused', `The body is nested deeper than ${deepestBody} levels; give flatter params.`))
      else done(error ?? inexact('The body', text), value)
    })
  })
}

/** What is packed would be read as if it were not, and told to be no JSON. */
const takeNoEncoding = async ({ headers }: FastifyRequest) => {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
  if (encoding === '' || encoding === 'identity' || !hasBody(headers)) return
  throw new UnreadableBody(415, `The body comes as ${showValue(encoding)} (Content-Encoding); send it as it is, without that header.`)
}

const hasBody = (headers: IncomingHttpHeaders) => headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/** A change that takes no more than its address says. */
const takeNoBodyUnasked = (route: RouteOptions) => {
  if (route.method === 'GET' || route.schema?.body) return
  route.preValidation = [
    ...[route.preValidation ?? []].flat(),
    async ({ body }) => {
      if (body === undefined || body === null) return
      if (typeof body === 'object' && !Array.isArray(body) && Object.keys(body).length === 0) return
      throw new BgtaskError('refused', `The body is ${showValue(body)}; this address takes none.`)
    },
  ]
}
