import type { FastifyRequest } from 'fastify'
import { BgtaskError } from '../errors.ts'
import { told } from '../task/told.ts'

/** The id in the address. @throws BgtaskError `not-found` for anything that can be no id */
export const taskIdOf = (request: FastifyRequest): number => {
  const { id } = request.params as { id: string }
  const parsed = parseTaskId(id)
  if (parsed === null) throw new BgtaskError('not-found', told`Task ${id.slice(0, 40)} does not exist.`)
  return parsed
}

/** @returns null for what can be no id */
export const parseTaskId = (text: string): number | null =>
  /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null
