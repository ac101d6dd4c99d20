import { pathToFileURL } from 'node:url'
import { messageOf } from '../errors.ts'
import { commonJsHint } from '../task/common-js-hint.ts'
import { nearestNames } from '../task/nearest-names.ts'
import { type CronFacts, hookDefaultS, type ModuleFacts, type QueueFacts, queueDefaults, queueName } from './module-facts.ts'

/** Modules with their code, in the process that may run it: a cron run, or the child that only describes them. */
export interface LoadedModules extends CronFacts {
  /** The function of a module's hook. */
  hookOf(module: string): Hook
  /** The function that works an item of a queue. */
  workerOf(queue: string): Worker
}
export type Hook = (context: unknown) => unknown
export type Worker = (data: unknown, context: unknown) => unknown

/**
 * Imports modules, asks them for their queues, and lets each alter the queues of all.
 * @param step told before user code is run: which module, and which part of it
 */
export const loadModules = async (
  files: readonly { name: string; file: string }[],
  step: (module: string, part: 'import' | 'cronQueueInfo' | 'cronQueueInfoAlter') => void = () => {},
): Promise<LoadedModules> => {
  const modules: ModuleFacts[] = []
  const code = new Map<string, Code>()
  const queues: Record<string, Declared> = Object.create(null)
  const owners = new Map<string, string>()
  const fail = (module: ModuleFacts, error: unknown) => {
    module.error ??= error instanceof Error ? `${error.name}: ${messageOf(error)}${placeOf(error, module.file)}` : messageOf(error)
  }
  for (const { name, file } of files) {
    const facts: ModuleFacts = { name, file, hook: false, hookMs: hookDefaultS * 1000, queues: [], error: null }
    modules.push(facts)
    try {
      step(name, 'import')
      const found = codeOf((await import(pathToFileURL(file).href)) as Record<string, unknown>)
      facts.hook = found.cron !== undefined
      facts.hookMs = seconds('cronTimeS', found.cronTimeS, hookDefaultS)
      code.set(name, found)
      step(name, 'cronQueueInfo')
      const declared = found.cronQueueInfo === undefined ? {} : await found.cronQueueInfo()
      for (const [queue, info] of declarationsOf(declared)) {
        const other = owners.get(queue)
        if (other) throw new Error(`the queue ${queue} is declared by the module ${other} already; give it another name`)
        owners.set(queue, name)
        facts.queues.push(queue)
        queues[queue] = info
      }
    } catch (error) {
      fail(facts, error)
      for (const queue of facts.queues) {
        owners.delete(queue)
        delete queues[queue]
      }
      facts.hook = false
    }
  }
  for (const facts of modules) {
    const alter = facts.error === null ? code.get(facts.name)?.cronQueueInfoAlter : undefined
    if (!alter) continue
    step(facts.name, 'cronQueueInfoAlter')
    const before = Object.entries(queues).map(([queue, info]) => [queue, { ...info }] as const)
    try {
      await alter(queues)
      for (const [queue] of declarationsOf(queues)) if (!owners.has(queue)) owners.set(queue, facts.name)
    } catch (error) {
      // What it did by halves is undone; everything else of the module goes on.
      for (const queue of Object.keys(queues)) delete queues[queue]
      for (const [queue, info] of before) queues[queue] = info
      fail(facts, new Error(`cronQueueInfoAlter is undone: ${messageOf(error)}`))
    }
  }
  const facts = Object.entries(queues).map(([queue, info]) => queueFacts(queue, owners.get(queue)!, info))
  for (const module of modules) module.queues = facts.flatMap(queue => (queue.module === module.name ? [queue.name] : [])).sort()
  return {
    modules,
    queues: facts.sort((a, b) => (a.name < b.name ? -1 : 1)),
    hookOf: module => code.get(module)!.cron!,
    workerOf: queue => queues[queue]!.worker,
  }
}

interface Code {
  cron: Hook | undefined
  cronTimeS: unknown
  cronQueueInfo: (() => unknown) | undefined
  cronQueueInfoAlter: ((queues: Record<string, Declared>) => unknown) | undefined
}

interface Declared {
  worker: Worker
  timeS?: number
  leaseS?: number
  skipOnCron?: boolean
  maxFailures?: number
}

const exported = ['cron', 'cronQueueInfo', 'cronQueueInfoAlter'] as const

const codeOf = (module: Record<string, unknown>): Code => {
  for (const name of exported) {
    if (module[name] !== undefined && typeof module[name] !== 'function')
      throw new TypeError(`${name} is ${show(module[name])}; it must be a function`)
  }
  if (exported.every(name => module[name] === undefined))
    throw new TypeError('it exports none of cron, cronQueueInfo and cronQueueInfoAlter; write: export async function cron(ctx) { … }')
  const { cron, cronTimeS, cronQueueInfo, cronQueueInfoAlter } = module
  return { cron, cronTimeS, cronQueueInfo, cronQueueInfoAlter } as Code
}

const settings = ['worker', 'timeS', 'leaseS', 'skipOnCron', 'maxFailures'] as const

const declarationsOf = (declared: unknown): [string, Declared][] => {
  if (typeof declared !== 'object' || declared === null || Array.isArray(declared))
    throw new TypeError(`cronQueueInfo gives ${show(declared)}; it must give an object like { mails: { worker, timeS: 15 } }`)
  return Object.entries(declared).map(([queue, info]) => {
    if (!queueName.test(queue))
      throw new TypeError(`the queue ${show(queue)} has no good name; allowed are letters, digits, and . _ - : after the first, at most 64`)
    if (typeof info !== 'object' || info === null)
      throw new TypeError(`the queue ${queue} is ${show(info)}; it must be { worker, timeS: 15 }`)
    const strange = Object.keys(info).find(key => !(settings as readonly string[]).includes(key))
    if (strange !== undefined) {
      const [nearest] = nearestNames(strange, settings)
      throw new TypeError(
        `the queue ${queue} has ${strange}, which is not known${nearest ? `; did you mean ${nearest}?` : `; there are ${settings.join(', ')}`}`,
      )
    }
    if (typeof (info as Declared).worker !== 'function')
      throw new TypeError(`the worker of the queue ${queue} is ${show((info as Declared).worker)}; it must be a function (data, ctx) => …`)
    queueFacts(queue, '', info as Declared)
    return [queue, info as Declared]
  })
}

const queueFacts = (name: string, module: string, { timeS, leaseS, skipOnCron, maxFailures }: Declared): QueueFacts => ({
  name,
  module,
  timeMs: seconds(`timeS of the queue ${name}`, timeS, queueDefaults.timeS),
  leaseMs: seconds(`leaseS of the queue ${name}`, leaseS, queueDefaults.leaseS),
  skipOnCron: truth(`skipOnCron of the queue ${name}`, skipOnCron),
  maxFailures: whole(`maxFailures of the queue ${name}`, maxFailures, queueDefaults.maxFailures),
})

const seconds = (field: string, given: unknown, fallback: number): number => {
  const value = given ?? fallback
  if (typeof value === 'number' && value > 0 && value <= 86_400) return value * 1000
  throw new TypeError(`${field} is ${show(given)}; it must be a number of seconds, more than 0 and at most 86400`)
}

const whole = (field: string, given: unknown, fallback: number): number => {
  const value = given ?? fallback
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= 1_000) return value as number
  throw new TypeError(`${field} is ${show(given)}; it must be a whole number from 1 to 1000`)
}

const truth = (field: string, given: unknown): boolean => {
  const value = given ?? queueDefaults.skipOnCron
  if (typeof value === 'boolean') return value
  throw new TypeError(`${field} is ${show(given)}; it must be true or false`)
}

const show = (value: unknown): string => {
  const text = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** Where in the file: the message alone does not say it. */
const placeOf = (error: Error, file: string) => {
  const at = error.stack?.split(pathToFileURL(file).href)[1]?.match(/^:(\d+)/)?.[1]
  return (at ? ` (line ${at})` : '') + commonJsHint(error)
}
