import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
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
    off(room: SwitchedOff): void {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      const temporary = `${fileOf(room.classroom)}.${process.pid}.tmp`
      writeFileSync(temporary, `${JSON.stringify(room)}\n`, { mode: 0o600 })
      renameSync(temporary, fileOf(room.classroom))
    },
    on(classroom: string): void {
      rmSync(fileOf(classroom), { force: true })
    },
    list(): SwitchedOff[] {
      return namesIn(folder).flatMap(name => {
        try {
          return [JSON.parse(readFileSync(join(folder, name), 'utf8')) as SwitchedOff]
        } catch (error) {
          // Switched on in this very moment.
          if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
          throw error
        }
      })
    },
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
