import { messageOf } from '../errors.ts'
import { type Artifact, longestPath, mostArtifacts, nameFromPath, whyNoName } from '../runs/artifacts-file.ts'
import { writeHanded } from '../runs/handed-files.ts'
import { whyKeptBack } from '../runs/kept-back.ts'
import { writeJson } from '../runs/write-file.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { closeSync, constants, fstatSync, openSync, realpathSync } = process.getBuiltinModule('node:fs')

/** What the action declared to have made. */
export interface Artifacts {
  declare(path: string, name?: string): void
}

/** @param place path or descriptor of artifacts.json; null: it is a run by hand, and told on stderr */
export const createArtifacts = (place: string | number | null): Artifacts => {
  const declared = new Map<string, Artifact>()
  let last = 0
  return {
    declare(given, name) {
      const file = identify(given)
      const shown = name === undefined ? nameFromPath(file.path) : name
      const whyNot = typeof shown === 'string' ? whyNoName(shown) : 'it must be a text'
      if (whyNot) throw new TypeError(`ctx.artifact: the name ${JSON.stringify(name)} cannot be used: ${whyNot}.`)
      const n = declared.get(file.path)?.n ?? ++last
      declared.delete(file.path)
      declared.set(file.path, { ...file, n, name: shown, declaredAt: Date.now() })
      // One that is declared with each iteration of a loop must neither fill the disk nor end the loop.
      if (declared.size > mostArtifacts) declared.delete(declared.keys().next().value!)
      if (place === null) console.error(`bgtask: the file ${file.path} is declared as ${shown} (${file.sizeBytes} bytes)`)
      else write(place, [...declared.values()])
    },
  }
}

const write = (place: string | number, artifacts: Artifact[]) => {
  if (typeof place === 'number') writeHanded(place, JSON.stringify({ artifacts }))
  else writeJson(place, { artifacts })
}

/** By opening it: what this user may not read is not handed out in its name. */
const identify = (given: string): Omit<Artifact, 'n' | 'name' | 'declaredAt'> => {
  if (typeof given !== 'string' || given === '' || given.includes('\0')) throw new TypeError('ctx.artifact takes the path of a file.')
  const refuse = (why: string, cause?: unknown) =>
    new Error(`ctx.artifact: ${JSON.stringify(given)} cannot be declared: ${why}.`, { cause })
  let descriptor: number
  let path: string
  try {
    path = realpathSync(given)
    // A pipe would wait here for who writes into it.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    throw refuse(
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is not there; declare a file when it is made' : messageOf(error),
      error,
    )
  }
  try {
    const stat = fstatSync(descriptor, { bigint: true })
    if (!stat.isFile()) throw refuse('it is no file')
    if (path.length > longestPath || !path.isWellFormed()) throw refuse('its path is too long, or no text')
    const identity = { device: String(stat.dev), inode: String(stat.ino), bornNs: String(stat.birthtimeNs) }
    const why = whyKeptBack(path, identity, { runtime: process.env.BGTASK_RUNTIME ?? '', databaseUrl: null })
    if (why) throw refuse(why)
    return { path, ...identity, sizeBytes: Number(stat.size) }
  } finally {
    closeSync(descriptor)
  }
}
