import { text as readAll } from 'node:stream/consumers'
import type { OnConflict, TaskOptions } from '../api/check-options.ts'
import { inexactNumberIn } from '../api/inexact-number.ts'
import type { StoredTask } from '../api/store-tasks.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import type { Task } from '../task/task.ts'
import { actor, commandLine } from './audited.ts'
import { dueTime } from './due-time.ts'
import { parseDuration } from './duration.ts'
import { wholeNumber, withBackground } from './open.ts'
import { formatTime, note, print, printJson } from './print.ts'
import { textOption } from './text-option.ts'

export interface AddOptions {
  forever?: boolean
  type?: string
  creator?: string
  unique?: string
  onConflict?: OnConflict
  at?: string
  in?: string
  priority?: string
  maxAttempts?: string
  timeout?: string
  grace?: string
  rerunAfterCrash: boolean
  json?: boolean
}

export const runAdd = async (action: string, json: string | undefined, given: AddOptions): Promise<number> => {
  if (action === '') throw new BgtaskError('usage', 'The action is empty; name one, like report/build.')
  const options = toOptions(given)
  const params = json === undefined ? {} : parseParams(json === '-' ? await readAll(process.stdin) : json)
  return withBackground(async background => {
    const [stored] = await background.storeTasks([{ action, params, options }], { by: actor(), actor: commandLine() })
    const { task, added, updated, replaced } = stored!
    if (given.json) printJson({ ...redactionOf(background.config).task(task), added, updated, replaced })
    else print(told(task, { added, updated, replaced }, task.runAt > Date.now() ? ` It is due at ${formatTime(task.runAt)}.` : ''))
    if (!given.forever && (await background.catalog()).get(action)?.execType === 'FOREVER') {
      note(`${action} is meant to be a loop; --forever keeps it up for good.`)
    }
    return exitCodes.done
  })
}

const told = ({ id, action, superseded }: Task, { added, updated, replaced }: Omit<StoredTask, 'task'>, due: string) => {
  if (updated) {
    const calls = superseded === 1 ? 'those of one earlier call' : `those of ${superseded} earlier calls`
    return `Task ${id} waited with the unique key and has these params now, in place of ${calls}.${due}`
  }
  if (!added) return `Task ${id} has the unique key already and is kept; nothing was added.`
  return `Task ${id} is added: ${action}.${replaced === null ? '' : ` It replaces task ${replaced}.`}${due}`
}

/** @throws BgtaskError `usage` */
const toOptions = (given: AddOptions): TaskOptions => {
  const runAt = dueTime(given, Date.now())
  if (given.forever && runAt !== null)
    throw new BgtaskError('usage', '--forever makes a loop, which starts at once; leave out --at and --in, or --forever.')
  if (given.onConflict !== undefined && given.unique === undefined)
    throw new BgtaskError('usage', '--on-conflict is about a unique key; give --unique as well, or leave it out.')
  return {
    execType: given.forever ? 'FOREVER' : 'ONCE',
    rerunAfterCrash: given.rerunAfterCrash,
    ...taskOptions(given),
    ...(given.onConflict === undefined ? {} : { onConflict: given.onConflict }),
    ...(runAt === null ? {} : { runAt }),
  }
}

/** Those that a schedule has as well. @throws BgtaskError `usage` */
export const taskOptions = (
  given: Pick<AddOptions, 'type' | 'creator' | 'unique' | 'priority' | 'maxAttempts' | 'timeout' | 'grace'>,
): TaskOptions => ({
  ...(given.type === undefined ? {} : { type: textOption('--type', given.type) }),
  ...(given.creator === undefined ? {} : { creator: textOption('--creator', given.creator) }),
  ...(given.unique === undefined ? {} : { unique: textOption('--unique', given.unique) }),
  ...(given.priority === undefined ? {} : { priority: wholeNumber('--priority', given.priority, -1000, 1000) }),
  ...(given.maxAttempts === undefined ? {} : { maxAttempts: wholeNumber('--max-attempts', given.maxAttempts, 1, 1000) }),
  ...(given.timeout === undefined ? {} : { timeoutMs: parseDuration('--timeout', given.timeout, { least: '1ms', most: '24d' }) }),
  ...(given.grace === undefined ? {} : { graceMs: parseDuration('--grace', given.grace, { most: '1h' }) }),
})

/** @throws BgtaskError `usage` */
export const parseParams = (text: string): unknown => {
  const params = parsed(text)
  const inexact = inexactNumberIn(text)
  if (inexact === null) return params
  throw new BgtaskError(
    'usage',
    `The params hold the number ${inexact}, which is too large to be kept exactly; give it as text, in quotes.`,
  )
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new BgtaskError('usage', `The params are not JSON (${messageOf(error)}). An example: '{"rows": 1000}'`, { cause: error })
  }
}
