import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { IsOptional } from 'typebox'
import { BgtaskError } from '../../errors.ts'
import { ourCommand } from '../../paths.ts'
import { type Addresses, canonicalAddress } from '../addresses.ts'
import { tokenRoutes } from '../roles.ts'
import { errorSchema } from './schemas.ts'

declare module 'fastify' {
  interface FastifySchema {
    /** One line, in the OpenAPI document. */
    summary?: string
    description?: string
    /** Statuses of errors that are this route's own; those of the door (401, 403, 429 …) are told for all. */
    errors?: readonly (keyof typeof errorAnswers)[]
    /** Headers of the good answer, by name. */
    answerHeaders?: Record<string, string>
  }
}

/**
 * Gathers the routes of the API as they are registered, and makes the OpenAPI 3.1 document of their very schemas: those are JSON schema, as the
 * document wants them, so nothing is translated. Call it before the routes are registered: one without a summary and answers is refused.
 */
export const collectOpenApi = (api: FastifyInstance, addresses: Addresses): (() => object) => {
  const routes: RouteOptions[] = []
  api.addHook('onRoute', route => {
    if (!route.schema?.summary || !route.schema.response)
      throw new BgtaskError('failed', `${route.method} ${route.url} does not say what it is for and what it answers: give its schema.`)
    routes.push(route)
  })
  let document: object | undefined
  return () => {
    document ??= documentOf(routes, api.prefix, url => canonicalAddress(addresses, url))
    return document
  }
}

/** Of this address; what it takes and tells may only grow. */
const version = '1.0.0'

const documentOf = (routes: readonly RouteOptions[], prefix: string, canonical: (url: string) => string): object => {
  const schemas: Record<string, object> = {}
  const shown = (schema: unknown) => withComponents(schema, schemas)
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = route.url.slice(prefix.length).replace(/:(\w+)/g, '{$1}') || '/'
    for (const method of [route.method].flat()) {
      paths[path] ??= {}
      paths[path][method.toLowerCase()] = operationOf(route, `${method} ${canonical(route.url)}`, route.url.slice(prefix.length), shown)
    }
  }
  shown(errorSchema)
  return {
    openapi: '3.1.0',
    info: {
      title: 'bgtask',
      version,
      description:
        'Background tasks from other programs and machines. Answers that are no success are `{"error": {"code", "message"}}`; ' +
        '`Retry-After` says when to come again. Times are milliseconds since 1970.',
    },
    servers: [{ url: prefix }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'bgt_<id>_<secret>',
          description: `A token of the page Tokens, or of \`${ourCommand} token create\`. The words beside it are the scopes that it must have.`,
        },
      },
      schemas,
      responses: Object.fromEntries(
        Object.entries(errorAnswers).map(([status, description]) => [nameOf(status), errorAnswer(description)]),
      ),
    },
  }
}

const operationOf = (route: RouteOptions, name: string, path: string, shown: (schema: unknown) => unknown): object => {
  const { summary, description, body, querystring, params, response, headers, errors = [], answerHeaders } = route.schema as FastifySchema
  const need = tokenRoutes[name]
  const isPublic = need === undefined || need === 'any'
  const scope = need === 'task:add' ? 'task:add:<action>' : need === 'command' ? 'command:<name>' : need
  const statuses = new Set<string | number>([...(need === undefined ? [] : door), ...errors, ...(body || querystring ? [422] : [])])
  const answers = Object.entries(response as Record<string, object>).map(([status, schema]) => [
    status,
    goodAnswer(shown(schema) as Record<string, unknown>, answerHeaders),
  ])
  return {
    summary,
    description: [description, isPublic ? undefined : `Scope: \`${scope}\`.`].filter(Boolean).join('\n\n'),
    operationId: operationId(name.split(' ', 1)[0]!, path),
    ...(isPublic ? { security: [] } : { security: [{ bearer: [scope] }] }),
    parameters: [
      ...parametersOf(shown(params), 'path'),
      ...parametersOf(shown(querystring), 'query'),
      ...parametersOf(shown(headers), 'header'),
    ],
    ...(body ? { requestBody: bodyOf(shown(body) as Record<string, unknown>, !IsOptional(body)) } : {}),
    responses: Object.fromEntries([
      ...answers,
      ...[...statuses].sort().map(status => [String(status), { $ref: `#/components/responses/${nameOf(String(status))}` }]),
    ]),
  }
}

/** A schema, or `{ content: { <type>: { schema } } }` of what is not JSON, or of several kinds. */
const contentOf = (schema: Record<string, unknown>) => ('content' in schema ? schema.content : { 'application/json': { schema } })

const goodAnswer = (schema: Record<string, unknown>, headers: Record<string, string> | undefined) => ({
  description: String(schema.description ?? 'Done.'),
  ...(headers && {
    headers: Object.fromEntries(Object.entries(headers).map(([name, description]) => [name, { description, schema: { type: 'string' } }])),
  }),
  content: contentOf(schema),
})

const bodyOf = (schema: Record<string, unknown>, required: boolean) => ({ required, content: contentOf(schema) })

const parametersOf = (schema: unknown, place: 'path' | 'query' | 'header') => {
  const { properties = {}, required = [] } = (schema ?? {}) as { properties?: Record<string, Record<string, unknown>>; required?: string[] }
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
    ...(rest.type === 'array' ? { style: 'form', explode: false } : {}),
  }))
}

/** `POST /tasks/:id/retry` is `postTasksIdRetry`. */
const operationId = (method: string, path: string) =>
  method.toLowerCase() + (path.match(/\w+/g) ?? ['root']).map(word => word[0]!.toUpperCase() + word.slice(1)).join('')

/** A copy of plain data; whatever has an $id stands among the components once, and is referred to. */
const withComponents = (schema: unknown, components: Record<string, object>): unknown => {
  if (Array.isArray(schema)) return schema.map(item => withComponents(item, components))
  if (typeof schema !== 'object' || schema === null) return schema
  const { $id, ...rest } = schema as { $id?: string }
  const copy = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, withComponents(value, components)]))
  if ($id === undefined) return copy
  components[$id] = copy
  return { $ref: `#/components/schemas/${$id}` }
}

/** Before a route with a token is reached. */
const door = [401, 403, 429, 503] as const

const errorAnswers = {
  400: 'The body cannot be read.',
  401: 'No good token.',
  403: 'The token lacks the scope.',
  404: 'There is none.',
  409: 'Not possible now.',
  410: 'Gone for good.',
  413: 'Too large.',
  415: 'Another Content-Type than this address takes, or a Content-Encoding.',
  416: 'The range that is asked for lies beyond the end.',
  422: 'Refused: the sentence says what is wrong. Nothing was done.',
  429: 'Too often; Retry-After says when to come again.',
  503: 'The database is away; Retry-After says when to come again.',
} as const

const nameOf = (status: string) => `Error${status}`

const errorAnswer = (description: string) => ({
  description,
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
})
