// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { closeSync, fstatSync, openSync, readSync, writeSync } = process.getBuiltinModule('node:fs')

/** What an action may ask to hide in one run. */
export const secretLimits = { values: 1_000, characters: 262_144 } as const

/**
 * The values that the action of a run gave to `ctx.secret()`, one line of JSON each: secrets.jsonl (0600) in the run folder, which goes with the folder.
 * Lines are only added, so that whoever reads meanwhile misses none.
 * @param place path of the file; or its descriptor, for a run that was handed it
 */
export const addSecret = (place: string | number, value: string): void => {
  // Begun on a line of its own: a full disk may have left half a line before.
  const line = `\n${JSON.stringify(value)}\n`
  if (typeof place === 'number') {
    writeSync(place, line)
    return
  }
  const descriptor = openSync(place, 'a', 0o600)
  try {
    writeSync(descriptor, line)
  } finally {
    closeSync(descriptor)
  }
}

/** @returns none when there is no such file. An action may write into its own folder, so no more is read than it may register. */
export const readSecrets = (path: string): string[] => {
  const values = new Set<string>()
  let characters = 0
  for (const line of textOf(path).split('\n')) {
    const value = line === '' ? null : parse(line)
    if (typeof value !== 'string' || values.has(value)) continue
    characters += value.length
    if (values.size >= secretLimits.values || characters > secretLimits.characters) break
    values.add(value)
  }
  return [...values]
}

const parse = (line: string): unknown => {
  try {
    return JSON.parse(line) as unknown
  } catch {
    return null // half a line
  }
}

/** All that may be registered, as long as JSON makes it. */
const mostBytes = secretLimits.characters * 6 + secretLimits.values * 4

const textOf = (path: string): string => {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return ''
    throw error
  }
  try {
    const buffer = Buffer.allocUnsafe(Math.min(fstatSync(descriptor).size, mostBytes))
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, 0))
  } finally {
    closeSync(descriptor)
  }
}
