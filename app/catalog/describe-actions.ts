import { writeSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { lineOf, messageOf } from '../errors.ts'
import { resolveBgtask } from '../runs/resolve-bgtask.ts'
import { commonJsHint } from '../task/common-js-hint.ts'
import { limitsOf } from '../task/limits.ts'
import { residentOptionsOf } from '../task/resident-options.ts'
import { type ActionDescription, type FileDescription, notLoaded } from './action-entry.ts'

/*
 * A program of its own, since to describe an action is to run what stands in its file: `node describe-actions.ts <files…>` imports each and writes
 * one line of JSON a file to descriptor 3. The one who started it knows which file it died of: the first that has no line.
 */
const describe = async () => {
  endWithParent()
  resolveBgtask()
  for (const event of ['uncaughtException', 'unhandledRejection']) process.on(event, () => {}) // of a file that was described before
  for (const file of process.argv.slice(2)) writeSync(3, `${JSON.stringify(await describeFile(file))}\n`)
  process.exit(0) // whatever the files left open
}

/** A file may hold up this thread for good while it loads, and who started us may be gone by then: another thread looks. */
const endWithParent = () => {
  const watch = `const parent = process.ppid; setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 500)`
  new Worker(watch, { eval: true, stdout: false, stderr: false }).unref()
}

const describeFile = async (file: string): Promise<FileDescription> => {
  try {
    return { error: null, actions: await describeModule(await import(pathToFileURL(file).href)) }
  } catch (error) {
    return { error: sentenceOf(error, file), actions: [] }
  }
}

const sentenceOf = (error: unknown, file: string) =>
  error instanceof Error ? `${error.name}: ${messageOf(error)}${placeOf(error, file)}` : messageOf(error)

/** A file that exports `execute` is one action, and so is one whose default export has it. Else each function, or action, it exports is one. */
const describeModule = async (module: Record<string, unknown>): Promise<ActionDescription[]> => {
  if (isAction(module.default)) return [await describeAction('default', module.default)]
  if (isAction(module)) return [await describeAction('execute', module)]
  const named = Object.entries(module).filter(([name, value]) => name !== 'default' && !name.startsWith('_') && isCallable(value))
  if (named.length === 0) throw noAction
  const stray = options.find(name => module[name] !== undefined && !isCallable(module[name]))
  if (stray) {
    throw new TypeError(
      `it exports ${stray} beside several actions; say which of them it is meant for: export const ${named[0]![0]} = defineAction({ ${stray}: …, execute(ctx) { … } })`,
    )
  }
  return Promise.all(named.map(([name, value]) => describeOne(name, value as object)))
}

/** One of several: what is wrong with it harms no other. */
const describeOne = async (name: string, value: object): Promise<ActionDescription> => {
  try {
    return await describeAction(name, typeof value === 'function' ? {} : (value as Record<string, unknown>))
  } catch (error) {
    return notLoaded(sentenceOf(error, ''), name)
  }
}

const noAction =
  'it exports no execute; write: export async function execute(ctx) { … }, or export default defineAction({ execute(ctx) { … } }), or functions under names of their own'

const isAction = (value: unknown): value is Record<string, unknown> => isObject(value) && typeof value.execute === 'function'
const isCallable = (value: unknown) => isAction(value) || (typeof value === 'function' && !/^class\b/.test(String(value)))

/** What an action may say of itself (runner/define-action.ts). */
const options = [
  'description',
  'params',
  'isolation',
  'concurrency',
  'residents',
  'maxTasks',
  'maxAgeMs',
  'maxRssMb',
  'idleMs',
  'timeoutMs',
  'graceMs',
  'stallMs',
  'stallRestart',
  'maxAttempts',
  'execType',
  'runAs',
  'noNewPrivileges',
  'memoryMb',
  'processes',
  'killOnOutputBytes',
  'database',
]

const describeAction = async (exportName: string, action: Record<string, unknown>): Promise<ActionDescription> => {
  const read = <T>(name: string, allowed: string, fits: (value: unknown) => value is T): T | null => {
    const value = action[name]
    if (value === undefined || value === null) return null
    if (fits(value)) return value
    throw new TypeError(`${name} is ${JSON.stringify(value) ?? String(value)}; it must be ${allowed}`)
  }
  const limits = limitsOf(action)
  const resident = residentOptionsOf(action, limits)
  const paramsSchema = read('params', 'a JSON schema, such as Type.Object({ … }) of typebox', isObject)
  return {
    exportName,
    error: null,
    description: read('description', 'a text', value => typeof value === 'string'),
    paramsSchema: paramsSchema && (await usable(paramsSchema)),
    isolation: resident ? 'resident' : 'process',
    resident,
    timeoutMs: read('timeoutMs', 'a whole number of milliseconds, 1 or more', isWholeFrom(1)),
    graceMs: read('graceMs', 'a whole number of milliseconds, 0 or more', isWholeFrom(0)),
    stallMs: read('stallMs', 'a whole number of milliseconds, 1 or more', isWholeFrom(1)),
    stallRestart: read('stallRestart', 'true or false', value => typeof value === 'boolean') ?? false,
    maxAttempts: read('maxAttempts', 'a whole number, 1 or more', isWholeFrom(1)),
    execType: read('execType', "'ONCE' or 'FOREVER'", value => value === 'ONCE' || value === 'FOREVER'),
    limits,
  }
}

/** Only what JSON can carry reaches those who check params by it, so that is what has to compile. */
const usable = async (schema: object): Promise<object> => {
  const plain = JSON.parse(JSON.stringify(schema)) as object
  const { Compile } = await import('typebox/schema')
  Compile(plain).Check({})
  return plain
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const isWholeFrom =
  (least: number) =>
  (value: unknown): value is number =>
    Number.isSafeInteger(value) && (value as number) >= least

/** Where in the file. */
const placeOf = (error: Error, file: string) => {
  const line = lineOf(error, file)
  return (line === null ? '' : ` (line ${line})`) + commonJsHint(error)
}

await describe()
