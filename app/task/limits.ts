/** What an action asks of the machine for its runs: as which user, within which bounds. What cannot be given is refused, never given by half. */
export interface Limits {
  /** `name`, `uid`, `name:group` or `uid:gid`; null: the supervisor's own user. */
  runAs: string | null
  /** No program that it starts gets more rights than it has (setuid files, say). Always so with `runAs`. */
  noNewPrivileges: boolean
  /** Megabytes (2^20) of memory; null: no limit. */
  memoryMb: number | null
  /** Processes and threads at once; null: no limit. */
  processes: number | null
  /** A run that prints more is ended; null: its output is only rotated. */
  killOnOutputBytes: number | null
  /** With `runAs`: it is handed the address of the database. Without, it can read that anyway. */
  database: boolean
}

/** A bare Node needs about as much, so less would only ever fail. */
const leastMemoryMb = 64
/** A Node process has about a dozen threads, and each of them counts. */
const leastProcesses = 16

/**
 * The limits that stand among an action's options.
 * @returns null when it asks for none
 * @throws TypeError naming the option, what it is and what it must be
 */
export const limitsOf = (action: object): Limits | null => {
  const read = <T>(name: keyof Limits, allowed: string, fits: (value: unknown) => value is T): T | null => {
    const value: unknown = Reflect.get(action, name)
    if (value === undefined || value === null) return null
    if (fits(value)) return value
    throw new TypeError(`${name} is ${JSON.stringify(value) ?? String(value)}; it must be ${allowed}`)
  }
  const limits: Limits = {
    runAs: read('runAs', "a user, like 'nobody', '65534' or 'nobody:nogroup'", isUser),
    noNewPrivileges: read('noNewPrivileges', 'true or false', isBoolean) ?? false,
    memoryMb: read('memoryMb', `a whole number of megabytes, ${leastMemoryMb} or more`, isWholeFrom(leastMemoryMb)),
    processes: read(
      'processes',
      `a whole number, ${leastProcesses} or more: threads count, and Node has a dozen`,
      isWholeFrom(leastProcesses),
    ),
    killOnOutputBytes: read('killOnOutputBytes', 'a whole number of bytes, 1 or more', isWholeFrom(1)),
    database: read('database', 'true or false', isBoolean) ?? false,
  }
  const { database: _, ...bounds } = limits
  return Object.values(bounds).some(Boolean) ? limits : null
}

export const sameLimits = (one: Limits | null, other: Limits | null): boolean => JSON.stringify(one) === JSON.stringify(other)

/** `runAs 'nobody', memoryMb 64`, for sentences. */
export const namesOf = (limits: Limits): string =>
  Object.entries(limits)
    .filter(([, value]) => value)
    .map(([name, value]) => (value === true ? name : `${name} ${JSON.stringify(value)}`))
    .join(', ')

export const memorySentence = (memoryMb: number): string => `It needed more memory than its limit of ${memoryMb} MB (memoryMb).`
export const outputSentence = (bytes: number): string =>
  `It printed more than its limit of ${bytes.toLocaleString('en')} bytes (killOnOutputBytes) and was ended.`

const isUser = (value: unknown): value is string =>
  typeof value === 'string' && /^(\d{1,10}|[a-z_][\w.-]{0,31}\$?)(:(\d{1,10}|[a-z_][\w.-]{0,31}\$?))?$/i.test(value)
const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean'
const isWholeFrom =
  (least: number) =>
  (value: unknown): value is number =>
    Number.isSafeInteger(value) && (value as number) >= least
