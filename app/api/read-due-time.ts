import { checkOptions, type TaskOptions } from './check-options.ts'

/**
 * When a task is due, said as for addTask; without either it is now.
 * @returns milliseconds since 1970
 * @throws BgtaskError `refused`
 */
export const readDueTime = ({ runAt, delayMs }: Pick<TaskOptions, 'runAt' | 'delayMs'>, now: number): number =>
  checkOptions({ runAt, delayMs }, { maxAttempts: null, timeoutMs: null, graceMs: null }, now).runAt
