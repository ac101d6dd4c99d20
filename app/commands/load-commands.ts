import { closeSync, fstatSync, openSync, readFileSync, type Stats, statSync } from 'node:fs'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { inWorkFolder } from '../paths.ts'
import { nearestNames } from '../task/nearest-names.ts'
import { allOf, fullStop, type Sentence, told } from '../task/told.ts'
import type { BrokenCommand, Command } from './command.ts'
import { importCommands } from './import-commands.ts'
import { readDefinition } from './read-definition.ts'
import { whyNotBelieved } from './who-may-write.ts'
import { whyNotStarted } from './why-not-started.ts'
import { WrongEntry } from './wrong-entry.ts'

/** The commands as the file has them now. */
export interface Commands {
  /** Absolute path; null: there is no file, so there are no commands. */
  file: string | null
  /** Why nothing of the file is believed: a sentence, or two, for people. null: it is. */
  fault: Sentence | null
  /** Sorted by name; those that can be run. */
  entries: readonly Command[]
  broken: readonly BrokenCommand[]
  get(name: string): Command | undefined
  /** At most three names like the given one, best first. */
  nearest(name: string): string[]
}

/** What is needed of the configuration. */
export type CommandsConfig = Pick<Config, 'commands'>

/**
 * Reads the file again when it has changed; who may write it, and whether the programs are there, is looked at each time. Nothing is thrown for
 * a file that is wrong: then there are no commands, and `fault` says why.
 */
export const loadCommands = async (config: CommandsConfig): Promise<Commands> => {
  const found = findFile(config)
  if (found === null) return empty(null, null)
  if ('fault' in found) return empty(null, found.fault)
  const { file } = found
  try {
    for (let tries = 1; ; tries++) {
      const stat = statSync(file)
      const why = whyNotBelieved(file, stat, process.getuid?.() ?? -1)
      if (why !== null) return empty(file, told`${why}. Until then no command is run.`)
      const definitions = await definitionsIn(file, stat)
      // It was written, or became another file, while it was read: what was looked at is not what was read.
      if (stampOf(statSync(file)) === stampOf(stat)) return arrange(file, definitions)
      if (tries === 5) return empty(file, told`${file} changes while it is read. Try again.`)
    }
  } catch (error) {
    return empty(file, told`${file} cannot be used: ${fullStop(saidBy(error))} Mend it; until then no command is run.`)
  }
}

/** Where the file is looked for when BGTASK_COMMANDS says nothing. */
export const usualFiles = ['commands.ts', 'commands.js', 'commands.json'] as const

const findFile = ({ commands }: CommandsConfig): { file: string } | { fault: Sentence } | null => {
  if (commands !== null) {
    return statSync(commands, { throwIfNoEntry: false })
      ? { file: commands }
      : { fault: told`BGTASK_COMMANDS is ${JSON.stringify(commands)}, which is not there. Write it, or take the variable away.` }
  }
  const there = usualFiles.map(inWorkFolder).filter(file => statSync(file, { throwIfNoEntry: false }))
  if (there.length > 1) return { fault: told`There are ${allOf(there)}; which one holds? Move the others away, or set BGTASK_COMMANDS.` }
  return there[0] === undefined ? null : { file: there[0] }
}

type Definitions = Readonly<Record<string, unknown>>

interface Known {
  stamp: string
  definitions: Definitions
}
const known = new Map<string, Known>()

const definitionsIn = async (file: string, stat: Stats): Promise<Definitions> => {
  const stamp = stampOf(stat)
  const before = known.get(file)
  if (before?.stamp === stamp) return before.definitions
  const read = file.endsWith('.json') ? (JSON.parse(readWhole(file, stat)) as unknown) : await importCommands(file)
  if (typeof read !== 'object' || read === null || Array.isArray(read))
    throw new WrongEntry(
      file.endsWith('.json')
        ? told`it is no object of names and commands`
        : told`it has no default export that is an object; write: export default defineCommands({ … })`,
    )
  const definitions = read as Definitions
  known.set(file, { stamp, definitions })
  return definitions
}

/** The very file whose owner and mode were looked at. */
const readWhole = (file: string, { dev, ino, size }: Stats): string => {
  const descriptor = openSync(file, 'r')
  try {
    const stat = fstatSync(descriptor)
    if (stat.dev !== dev || stat.ino !== ino) throw new WrongEntry(told`it has become another file meanwhile`)
    if (size > mostBytes) throw new WrongEntry(told`it has ${size} bytes; allowed are ${mostBytes}`)
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}
const mostBytes = 1_000_000

const stampOf = ({ dev, ino, size, mtimeMs, ctimeMs }: Stats) => [dev, ino, size, mtimeMs, ctimeMs].join('-')

const arrange = (file: string, definitions: Definitions): Commands => {
  const entries: Command[] = []
  const broken: BrokenCommand[] = []
  for (const [name, definition] of Object.entries(definitions).sort(([one], [other]) => (one < other ? -1 : 1))) {
    const shown = name.length > 64 ? `${name.slice(0, 64)}…` : name
    try {
      const command = readDefinition(name, definition)
      const why = whyNotStarted(command)
      if (why === null) entries.push(command)
      else broken.push({ name: shown, sentence: told`The command ${shown} ${fullStop(why)}` })
    } catch (error) {
      if (!(error instanceof WrongEntry)) throw error
      broken.push({ name: shown, sentence: told`The command ${shown} ${fullStop(error.sentence)}` })
    }
  }
  return of(file, null, entries, broken)
}

const saidBy = (error: unknown): Sentence => (error instanceof WrongEntry ? error.sentence : messageOf(error))

const empty = (file: string | null, fault: Sentence | null) => of(file, fault, [], [])

const of = (file: string | null, fault: Sentence | null, entries: Command[], broken: BrokenCommand[]): Commands => {
  const byName = new Map(entries.map(entry => [entry.name, entry]))
  return {
    file,
    fault,
    entries,
    broken,
    get: name => byName.get(name),
    nearest: name => nearestNames(name.slice(0, 64), [...byName.keys()]),
  }
}
