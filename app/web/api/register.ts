import type { FastifyError, FastifyInstance } from 'fastify'
import { apiPrefix } from '../bearer.ts'
import { WebError } from '../explain-error.ts'
import type { Panel } from '../panel.ts'
import { answerApiError } from './answer.ts'
import { registerLoopApi } from './loop.ts'
import { registerTasksApi } from './tasks.ts'

/**
 * What programs ask for, in JSON both ways. No session, no cookie and no form is known in here: bearer.ts has recognised the token and held
 * its scopes against the table of roles.ts before anything below is called.
 */
export const registerApi = (app: FastifyInstance, panel: Panel) =>
  app.register(
    async api => {
      api.setErrorHandler((error: FastifyError, request, reply) => answerApiError(panel, request, reply, error))
      takeJsonOnly(api)
      // Second to bearer.ts, should a route here ever be asked for in a way that it does not see.
      api.addHook('onRequest', async request => {
        if (!request.token) throw new WebError(401, 'error.signIn')
      })
      registerTasksApi(api, panel)
      registerLoopApi(api, panel)
    },
    { prefix: apiPrefix },
  )

const takeJsonOnly = (api: FastifyInstance) => {
  const parse = api.getDefaultJsonParser('error', 'error')
  api.removeAllContentTypeParsers()
  api.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Many clients name the type also when they send nothing.
    if (body === '') done(null, undefined)
    else parse(request, body as string, done)
  })
}
