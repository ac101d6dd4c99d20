import { existsSync, mkdtempSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { messageOf } from '../errors.ts'
import { type Sentence, told } from '../task/told.ts'

/** Tries, in the nearest folder that is there, whether this one could be made; leaves nothing. @returns null when it could; else why not */
export const whyNotMakeable = (folder: string): Sentence | null => {
  let nearest = folder
  while (!existsSync(nearest)) nearest = dirname(nearest)
  try {
    rmdirSync(mkdtempSync(join(nearest, '.bgtask-')))
    return null
  } catch (error) {
    return told`nothing can be made in ${nearest}: ${(error as NodeJS.ErrnoException).code ?? messageOf(error)}`
  }
}
