import { Compile, type Validator } from 'typebox/schema'

interface Operation {
  responses: Record<string, { $ref?: string; content?: Record<string, { schema: object }> }>
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object>; responses: Record<string, { content: Record<string, { schema: object }> }> }
}
export interface ApiAnswer {
  method: string
  /** With the prefix, with or without a query. */
  url: string
  status: number
  contentType: string | undefined
  body: string
}

/** Holds answers of the API against its own OpenAPI document. @returns what does not fit, each fault a line */
export const createFit = (given: object, prefix = '/api/v1') => {
  const document = given as Document
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      pattern: new RegExp(`^${prefix}${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
      operation,
    })),
  )
  const validators = new Map<object, Validator>()
  const validatorOf = (schema: object): Validator => {
    const known = validators.get(schema)
    if (known) return known
    const made = Compile({ ...(resolved(schema, document) as object) }) as Validator
    validators.set(schema, made)
    return made
  }
  const faultsOf = ({ method, url, status, contentType, body }: ApiAnswer): string[] => {
    const path = url.split('?', 1)[0]!
    // `/tasks/cancellation` is no task.
    const found = operations
      .filter(one => one.method === method && one.pattern.test(path))
      .sort((a, b) => weight(a.path) - weight(b.path))[0]
    const type = contentType?.split(';', 1)[0]
    if (status >= 400) {
      if (type !== 'application/json') return [`${status} is ${type}`]
      return check(validatorOf(document.components.schemas.Error!), body)
    }
    if (!found) return [`${method} ${path} is not in the document`]
    const answer = found.operation.responses[status]
    if (!answer) return [`${method} ${found.path} answers ${status}, which is not in the document`]
    const schema = answer.content?.[type ?? '']?.schema
    if (!schema) return [`${method} ${found.path} answers ${type}, which is not in the document`]
    if (type === 'application/x-ndjson') return body.split('\n').flatMap(line => (line === '' ? [] : check(validatorOf(schema), line)))
    return type === 'application/json' ? check(validatorOf(schema), body) : []
  }
  return { operations, faultsOf, document }
}

const weight = (path: string) => path.split('{').length

const check = (validator: Validator, body: string): string[] => {
  const value: unknown = JSON.parse(body)
  if (validator.Check(value)) return []
  const [, errors] = validator.Errors(value)
  return errors.map(({ instancePath, message }: { instancePath: string; message: string }) => `${instancePath || 'it'} ${message}`)
}

/** The schema with what it refers to in its place; ours do not refer to themselves. */
const resolved = (schema: unknown, document: Document): unknown => {
  if (Array.isArray(schema)) return schema.map(item => resolved(item, document))
  if (typeof schema !== 'object' || schema === null) return schema
  const { $ref } = schema as { $ref?: string }
  if ($ref !== undefined) {
    const target = $ref
      .slice(2)
      .split('/')
      .reduce<unknown>((inner, step) => (inner as Record<string, unknown>)[step], document)
    if (target === undefined) throw new Error(`${$ref} is not there`)
    return resolved(target, document)
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, resolved(value, document)]))
}
