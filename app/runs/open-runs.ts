import { closeSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from './make-folder.ts'

/**
 * Names of the runs whose end is not in the database yet, one empty file each in runtime/open/: made before the ticket,
 * removed after the end is recorded. A new supervisor reads these few instead of every folder kept for history.
 */
export const openRuns = (runtime: string) => {
  const folder = join(runtime, 'open')
  makeFolder(folder)
  return {
    add: (name: string): void => {
      makeFolder(folder)
      closeSync(openSync(join(folder, name), 'w', 0o600))
    },
    remove: (name: string): void => rmSync(join(folder, name), { force: true }),
    list: (): { name: string; taskId: number; number: number }[] =>
      readdirSync(folder).flatMap(name => {
        const match = /^(\d+)-(\d+)$/.exec(name)
        return match ? [{ name, taskId: Number(match[1]), number: Number(match[2]) }] : []
      }),
  }
}
export type OpenRuns = ReturnType<typeof openRuns>
