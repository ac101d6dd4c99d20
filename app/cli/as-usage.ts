import { BgtaskError } from '../errors.ts'

/** What the library refuses of something that was typed is a mistake of the command line: its sentence stays, its exit code is that of misuse. */
export const asUsage = <Result>(check: () => Result): Result => {
  try {
    return check()
  } catch (error) {
    if (error instanceof BgtaskError && error.code === 'refused') throw new BgtaskError('usage', error.sentence, { cause: error })
    throw error
  }
}
