import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/schema'
import { faultSentences } from '../../catalog/check-params.ts'
import { BgtaskError } from '../../errors.ts'
import type { Json } from '../../task/task.ts'

/**
 * Holds what a program sends against the schema of its route, in sentences like those about params. Numbers and lists of an address come as text and
 * are read by the schema; nothing else is converted, and what the schema does not know is refused.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema) as Validator
  const part = httpPart === undefined ? undefined : parts[httpPart]
  const isText = httpPart === 'querystring' || httpPart === 'params'
  return (given: unknown) => {
    // A body that is not there is one without anything in it.
    const value = isText ? readText(schema, given) : given === null || given === undefined ? {} : given
    if (validator.Check(value)) return { value }
    const [, errors] = validator.Errors(value)
    const faults = faultSentences(errors, value as Json, schema, part?.whole)
    return {
      error: new BgtaskError('refused', `${part?.place ?? 'The request'} is not as it should be: ${faults.slice(0, 5).join('; ')}.`),
    }
  }
}

/** For a route that reads its body itself, in sentences that know more of it: which task of a list it is, or what was meant. */
export const allButBody: FastifySchemaCompiler<TSchema> = route =>
  route.httpPart === 'body' ? (value: unknown) => ({ value }) : validatorCompiler(route)

const parts: Record<string, { place: string; whole: string }> = {
  body: { place: 'The body', whole: 'it' },
  querystring: { place: 'What stands behind the ? of the address', whole: 'it' },
  params: { place: 'The address', whole: 'it' },
  headers: { place: 'A header', whole: 'it' },
}

const readText = (schema: TSchema, given: unknown): Record<string, unknown> => {
  const properties = (schema as { properties?: Record<string, { type?: string; items?: object }> }).properties ?? {}
  return Object.fromEntries(
    Object.entries((given ?? {}) as Record<string, unknown>).map(([name, value]) => {
      const type = Object.hasOwn(properties, name) ? properties[name]!.type : undefined
      if (type === 'array') return [name, [value].flat().flatMap(text => String(text).split(','))]
      if (typeof value !== 'string') return [name, value]
      if ((type === 'integer' || type === 'number') && /^-?\d{1,16}(\.\d{1,16})?$/.test(value)) return [name, Number(value)]
      if (type === 'boolean' && (value === 'true' || value === 'false')) return [name, value === 'true']
      return [name, value]
    }),
  )
}
