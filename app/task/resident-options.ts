import { type Limits, namesOf } from './limits.ts'

/** How the resident runners of an action are kept: processes that stay, and are handed its ONCE tasks. */
export interface ResidentOptions {
  /** Tasks at once in one process. */
  concurrency: number
  /** Processes at once. */
  residents: number
  /** A fresh process after so many tasks; null: never. */
  maxTasks: number | null
  /** A fresh process once this one is so old; null: never. */
  maxAgeMs: number | null
  /** A fresh process once this one holds so much resident memory, in MB of 1,000,000 bytes; null: never. */
  maxRssMb: number | null
  /** One that has had nothing to do for so long ends. */
  idleMs: number
}

export const residentDefaults: ResidentOptions = {
  concurrency: 1,
  residents: 1,
  maxTasks: null,
  maxAgeMs: null,
  maxRssMb: null,
  idleMs: 60_000,
}

/**
 * The resident options that stand among an action's.
 * @returns null when each of its runs has a process of its own
 * @throws TypeError naming the option, what it is and what it must be
 */
export const residentOptionsOf = (action: object, limits: Limits | null): ResidentOptions | null => {
  const isolation: unknown = Reflect.get(action, 'isolation')
  if (isolation !== undefined && isolation !== null && isolation !== 'process' && isolation !== 'resident')
    throw new TypeError(`isolation is ${JSON.stringify(isolation) ?? String(isolation)}; it must be 'process' or 'resident'`)
  const read = <T extends number | null>(name: keyof ResidentOptions, least: number, most: number, otherwise: T): number | T => {
    const value: unknown = Reflect.get(action, name)
    if (value === undefined || value === null) return otherwise
    if (isolation !== 'resident') throw new TypeError(`${name} is given, and only isolation: 'resident' knows it`)
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
    throw new TypeError(`${name} is ${JSON.stringify(value) ?? String(value)}; it must be a whole number from ${least} to ${most}`)
  }
  const longest = 31_536_000_000
  const options: ResidentOptions = {
    concurrency: read('concurrency', 1, 1_000, residentDefaults.concurrency),
    residents: read('residents', 1, 64, residentDefaults.residents),
    maxTasks: read('maxTasks', 1, 1_000_000_000, residentDefaults.maxTasks),
    maxAgeMs: read('maxAgeMs', 1_000, longest, residentDefaults.maxAgeMs),
    maxRssMb: read('maxRssMb', 64, 1_000_000, residentDefaults.maxRssMb),
    idleMs: read('idleMs', 0, longest, residentDefaults.idleMs),
  }
  if (isolation !== 'resident') return null
  // They bound a process, and this one is not one run's alone.
  if (limits) throw new TypeError(`isolation is 'resident', which cannot be with ${namesOf(limits)}; leave one of them out`)
  return options
}
