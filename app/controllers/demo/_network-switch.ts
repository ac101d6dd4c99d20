import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A classroom whose network is off. */
export interface SwitchedOff {
  classroom: string
  /** Of the teacher who switched it off. */
  teacher: { id: number; name: string }
  /** Milliseconds since 1970. */
  since: number
  /** Id of the task that switches it on. */
  task: number
}

/**
 * What stands for the school's switch in this demo: one small file for each classroom whose network is off. Written as a whole or not at
 * all, so that whoever reads it, or takes it away (app/actions/demo/network-restore.ts), never meets a half.
 */
export const networkSwitch = (runtime: string) => {
  const folder = join(runtime, 'demo', 'network')
  const fileOf = (classroom: string) => join(folder, `${classroom}.json`)
  return {
    folder,
    /** @param mayReplace asked of who has it already @returns who keeps it; null: it is this one's */
    off(room: SwitchedOff, mayReplace: (there: SwitchedOff) => boolean): SwitchedOff | null {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      const [file, temporary] = [fileOf(room.classroom), `${fileOf(room.classroom)}.${process.pid}.tmp`]
      writeFileSync(temporary, `${JSON.stringify(room)}\n`, { mode: 0o600 })
      try {
        // Of several who come at once to one that is on, the first has it.
        linkSync(temporary, file)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        const there = read(file)
        if (there && !mayReplace(there)) return there
        renameSync(temporary, file)
      } finally {
        rmSync(temporary, { force: true })
      }
      return null
    },
    on(classroom: string): void {
      rmSync(fileOf(classroom), { force: true })
    },
    list(): SwitchedOff[] {
      return namesIn(folder).flatMap(name => read(join(folder, name)) ?? [])
    },
  }
}

/** @returns null when it is not there: switched on in this very moment */
const read = (file: string): SwitchedOff | null => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as SwitchedOff
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder).filter(name => name.endsWith('.json'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
