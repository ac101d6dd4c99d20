import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { coversScope, plainScopes } from '../api/scopes.ts'
import { defaultTokenLifeMs, type MadeToken, makeToken, revokeToken, shownTokens } from '../api/tokens.ts'
import { checkParams } from '../catalog/check-params.ts'
import { BgtaskError } from '../errors.ts'
import { NotAdmin } from '../store/lock-users.ts'
import { told } from '../task/told.ts'
import { tell } from '../texts/tell.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { apiPrefix } from './bearer.ts'
import { WebError } from './explain-error.ts'
import { fieldsOf } from './fields.ts'
import { type Panel, redirectWith } from './panel.ts'
import { originsOf } from './request-class.ts'
import { parseTaskId } from './task-id.ts'

const page = '/config/tokens'
const onPage = 50

/** Tokens of programs: which there are, making one, and revoking one. */
export const registerTokens = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background

  app.get(page, async (request, reply) => {
    const before = parseTaskId(fieldsOf(request.query).before ?? '')
    const found = await shownTokens(db, { limit: onPage + 1, ...(before === null ? {} : { before }) })
    return reply.page('tokens', { tokens: found.slice(0, onPage), older: found.length > onPage ? found[onPage - 1]!.id : null, before })
  })

  app.get(`${page}/new`, async (_request, reply) => form(panel, reply, {}, null))

  app.post(page, { config: { fresh: true } }, async (request, reply) => {
    const wish = readWish(request.body)
    try {
      const asked = { name: wish.name, scopes: scopesOf(wish), lifeMs: lifeOf(wish.life) }
      const made = await stillAdmin(makeToken(db, actorOf(request), asked, byOf(request)))
      // Not by way of a redirect: whatever is shown after one has to be kept somewhere until then.
      return reply.page('tokens-made', { ...made, examples: await examplesFor(panel, request, made) })
    } catch (error) {
      if (error instanceof BgtaskError && error.code === 'refused') return form(panel, reply, wish, tell(request.language, error.sentence))
      throw error
    }
  })

  app.post(`${page}/:id/revocation`, { config: { fresh: true } }, async (request, reply) => {
    const given = (request.params as { id: string }).id
    const id = parseTaskId(given)
    if (id === null) throw new BgtaskError('not-found', told`Token ${given.slice(0, 40)} does not exist.`)
    const { name } = await stillAdmin(revokeToken(db, actorOf(request), id, byOf(request)))
    return redirectWith(request, reply, `${panel.root}${page}`, {
      tone: 'good',
      text: translate(request.language, 'tokens.revoked', { name }),
    })
  })
}

/** The administrator who asks, for who asks again whether they still are one. */
const byOf = (request: FastifyRequest) => ({ userId: request.user!.id })

const stillAdmin = async <T>(work: Promise<T>): Promise<T> => {
  try {
    return await work
  } catch (error) {
    throw error instanceof NotAdmin ? new WebError(403, 'users.refused.not-admin') : error
  }
}

/** What the form offers, in days. */
const lives = [1, 7, 30, 90, 365, 'never'] as const
const dayMs = 86_400_000

interface Wish {
  name: string
  /** As the checkboxes and fields say them. */
  scopes: string[]
  actions: string[]
  /** More scopes, as text: with spaces, commas or lines between. */
  more: string
  life: string
}

const readWish = (body: unknown): Wish => {
  const fields = fieldsOf(body)
  return {
    name: fields.name ?? '',
    scopes: valuesOf(body, 'scope'),
    actions: valuesOf(body, 'action'),
    more: fields.more ?? '',
    life: fields.life ?? String(defaultTokenLifeMs / dayMs),
  }
}

/** All values of a field that may be there several times. */
const valuesOf = (body: unknown, name: string): string[] => {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return []
  return [(body as Record<string, unknown>)[name]].flat().filter(value => typeof value === 'string')
}

const scopesOf = ({ scopes, actions, more }: Wish): string[] => [
  ...scopes,
  ...actions.map(action => `task:add:${action}`),
  ...more.split(/[\s,]+/).filter(Boolean),
]

const lifeOf = (given: string): number | 'never' => {
  const life = lives.find(known => String(known) === given)
  if (life === undefined) throw new BgtaskError('refused', told`The time is ${JSON.stringify(given.slice(0, 40))}; choose one of the list.`)
  return life === 'never' ? life : life * dayMs
}

const form = async (panel: Panel, reply: FastifyReply, given: Partial<Wish>, problem: string | null) => {
  const names = (await panel.background.catalog()).entries.map(({ name }) => name)
  const folders = [...new Set(names.flatMap(foldersAbove))].sort()
  return reply.page(
    'tokens-new',
    {
      problem,
      plainScopes,
      lives,
      folders,
      actions: names,
      given: { name: '', scopes: [], actions: [], more: '', life: String(defaultTokenLifeMs / dayMs), ...given },
    },
    problem === null ? 200 : 422,
  )
}

/** `a/b/c` lies in `a/*` and `a/b/*`. */
const foldersAbove = (action: string): string[] => {
  const parts = action.split('/').slice(0, -1)
  return parts.map((_, index) => `${parts.slice(0, index + 1).join('/')}/*`)
}

/** Lines for a terminal that use the token for what it may do. */
const examplesFor = async (panel: Panel, request: FastifyRequest, { token: { scopes }, text }: MadeToken): Promise<string[]> => {
  const address = `${panel.config.publicUrl ?? originsOf(request, null)[0]!}${panel.top}${apiPrefix}`
  const curl = `curl -H "Authorization: Bearer ${text}"`
  const { entries } = await panel.background.catalog()
  const covered = entries.filter(({ name, error }) => error === null && coversScope(scopes, { kind: 'task:add', action: name }))
  // One that takes no params works as it is printed; of another only whoever knows it can say them.
  const fits = await Promise.all(covered.map(async entry => (await checkParams(entry, {})).length === 0))
  const plain = covered.find((_, index) => fits[index])
  const action = plain?.name ?? covered[0]?.name
  const params = plain ? '{}' : '{…}'
  return [
    ...(action ? [`${curl} --json '{"action": "${action}", "params": ${params}}' ${address}/tasks`] : []),
    ...(scopes.includes('task:read') ? [`${curl} ${address}/tasks/1`] : []),
    ...(scopes.includes('task:control') ? [`${curl} -X POST ${address}/tasks/1/retry`] : []),
    ...(scopes.includes('schedule:read') ? [`${curl} ${address}/schedules`] : []),
    ...(scopes.includes('cron:run') ? [`${curl} -X POST ${address}/cron/run`] : []),
    ...(scopes.includes('metrics:read') ? [`${curl} ${address.slice(0, -apiPrefix.length)}/metrics`] : []),
    ...(scopes.includes('loop:restart') ? [`${curl} -X POST ${address}/loop/restart`] : []),
  ]
}
