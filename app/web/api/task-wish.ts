import { type Static, type TSchema, Type } from 'typebox'
import { checkOptions, type TaskOptions } from '../../api/check-options.ts'
import { showValue } from '../../api/show-value.ts'
import { checkParams } from '../../catalog/check-params.ts'
import { BgtaskError } from '../../errors.ts'
import type { Json } from '../../task/task.ts'
import { requireActionName } from './may-add.ts'

/** The options of a task as JSON can say them; ranges and lengths are the library's to check. */
export const taskOptionsSchema = Type.Object(
  {
    execType: Type.Optional(Type.Union([Type.Literal('ONCE'), Type.Literal('FOREVER')])),
    type: Type.Optional(Type.String()),
    creator: Type.Optional(Type.String()),
    runAt: Type.Optional(Type.Union([Type.String(), Type.Number(), Type.Null()])),
    delayMs: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
    priority: Type.Optional(Type.Integer()),
    unique: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    onConflict: Type.Optional(
      Type.Union([Type.Literal('replace'), Type.Literal('keep'), Type.Literal('keepLast'), Type.Literal('reject')]),
    ),
    maxAttempts: Type.Optional(Type.Integer()),
    timeoutMs: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
    graceMs: Type.Optional(Type.Integer()),
    rerunAfterCrash: Type.Optional(Type.Boolean()),
  } satisfies Record<Exclude<keyof TaskOptions, 'trx'>, TSchema>,
  { $id: 'TaskOptions', additionalProperties: false, description: 'The same as those of addTask.' },
)

/** One task in the body of POST /api/v1/tasks. */
export const taskWishSchema = Type.Object(
  {
    action: Type.String({ description: 'Like report/build.' }),
    params: Type.Optional(
      Type.Unknown({ description: 'JSON of at most 64 kB; what breaks the schema of the action is refused. Default {}.' }),
    ),
    options: Type.Optional(taskOptionsSchema),
  },
  { $id: 'TaskWish', additionalProperties: false },
)
export type ApiTaskWish = Static<typeof taskWishSchema>

export const mostTasksAtOnce = 1_000

/**
 * The tasks of a body: one, or a list of them.
 * @throws BgtaskError `refused`, in the sentence of the library where it has one
 */
export const readTaskWishes = async (body: unknown): Promise<ApiTaskWish[]> => {
  if (!Array.isArray(body)) return [await readTaskWish(body, 'The body')]
  if (body.length === 0 || body.length > mostTasksAtOnce)
    throw refused(`The list has ${body.length.toLocaleString('en')} tasks; allowed are 1 to ${mostTasksAtOnce.toLocaleString('en')}.`)
  const wishes: ApiTaskWish[] = []
  for (const [index, wish] of body.entries()) wishes.push(await readTaskWish(wish, `Task ${index + 1} of the list`))
  return wishes
}

/** @param place how the sentences call it @throws BgtaskError `refused` */
export const readTaskWish = async (given: unknown, place: string): Promise<ApiTaskWish> => {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw refused(`${place} is ${showValue(given)}; it must be an object with action, params and options.`)
  const [fault] = await checkParams({ paramsSchema: taskWishSchema }, given as Json)
  if (fault === undefined) {
    requireActionName((given as ApiTaskWish).action)
    return given as ApiTaskWish
  }
  const { options } = given as { options?: unknown }
  if (isObject(options) && options.trx === undefined) checkOptions(options, noLimits, Date.now())
  throw refused(`${place} is not as it should be: ${fault}.`)
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const noLimits = { maxAttempts: null, timeoutMs: null, graceMs: null }

const refused = (sentence: string) => new BgtaskError('refused', sentence)
