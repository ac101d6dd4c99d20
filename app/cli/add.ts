import { text as readAll } from 'node:stream/consumers'
import type { OnConflict, TaskOptions } from '../api/check-options.ts'
import type { StoredTask } from '../api/store-tasks.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import type { Task } from '../task/task.ts'
import { actor, commandLine } from './audited.ts'
import { parseDuration } from './duration.ts'
import { wholeNumber, withBackground } from './open.ts'
import { formatTime, note, print, printJson } from './print.ts'

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
  const params = json === undefined ? {} : parseParams(json === '-' ? await readAll(process.stdin) : json)
  const options = toOptions(given)
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

const toOptions = (given: AddOptions): TaskOptions => ({
  execType: given.forever ? 'FOREVER' : 'ONCE',
  rerunAfterCrash: given.rerunAfterCrash,
  ...(given.type === undefined ? {} : { type: given.type }),
  ...(given.creator === undefined ? {} : { creator: given.creator }),
  ...(given.unique === undefined ? {} : { unique: given.unique }),
  ...(given.onConflict === undefined ? {} : { onConflict: given.onConflict }),
  ...(given.at === undefined ? {} : { runAt: given.at }),
  ...(given.in === undefined ? {} : { delayMs: parseDuration('--in', given.in) }),
  ...(given.priority === undefined ? {} : { priority: wholeNumber('--priority', given.priority, -1000, 1000) }),
  ...(given.maxAttempts === undefined ? {} : { maxAttempts: wholeNumber('--max-attempts', given.maxAttempts, 1, 1000) }),
  ...(given.timeout === undefined ? {} : { timeoutMs: parseDuration('--timeout', given.timeout) }),
  ...(given.grace === undefined ? {} : { graceMs: parseDuration('--grace', given.grace) }),
})

/** @throws BgtaskError `usage` */
export const parseParams = (text: string): unknown => {
  try {
    return JSON.parse(text, exactNumbers) as unknown
  } catch (error) {
    if (error instanceof BgtaskError) throw error
    throw new BgtaskError('usage', `The params are not JSON (${messageOf(error)}). An example: '{"rows": 1000}'`, { cause: error })
  }
}

// 12345678901234567890 would silently become 12345678901234567000.
function exactNumbers(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source
  if (typeof value !== 'number' || source === undefined || !/^-?\d+$/.test(source) || Number.isSafeInteger(value)) return value
  throw new BgtaskError(
    'usage',
    `The params hold the number ${source.slice(0, 40)}, which is too large to be kept exactly; give it as text, in quotes.`,
  )
}
