import { sizeOf } from './read-output.ts'
import { runPaths } from './runtime-folder.ts'
import { readJson, writeJson } from './write-file.ts'

/** All that a run has printed, also what was rotated away. */
export const printedBytes = (folder: string): number => goneBytes(folder) + sizeOf(runPaths(folder).output)

/** How much of that was printed before what lies in output.log now. */
export const goneBytes = (folder: string): number => {
  const { printed, rotatedOutput } = runPaths(folder)
  return readJson<{ bytes: number }>(printed)?.bytes ?? sizeOf(rotatedOutput)
}

export const writeGoneBytes = (folder: string, bytes: number): void => writeJson(runPaths(folder).printed, { bytes })
