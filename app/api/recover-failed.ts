import { rmSync } from 'node:fs'
import { commandAction } from '../commands/command-name.ts'
import { ring } from '../runs/doorbell.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { countFailed, discardFailed, type FailedBounds, type FailedFilter, retryFailed, sliceFailed } from '../store/recover.ts'
import { runName } from '../task/run.ts'
import type { Background } from './background.ts'
import { leaveRoom, rowsAtOnce, runsKept } from './leave-room.ts'

/** What becomes of failed tasks. */
export interface Recovery {
  do: 'retry' | 'discard'
  filter: FailedFilter
  /** Milliseconds since 1970: what fails after it is left alone, so that nothing goes round in circles. */
  failedBefore: number
}

/**
 * Which of the failed tasks a recovery works on. Who may run a command is asked for each of them: so they are tried again one by one, by those who may.
 */
export const recoveryBounds = (act: Recovery['do'], failedBefore: number): FailedBounds =>
  act === 'retry' ? { failedBefore, without: commandAction } : { failedBefore }

/**
 * Retries or discards all failed tasks that the filter lets through. Done once more after a stop or a crash, it goes on with those that are left.
 * @param about.by what the retried tasks say had them run again: the task that does it, whose page and audit tell who asked. No name out of
 * its params, which anybody may write who may add it
 * @returns how many, how many were left since another task holds their key, and both in a sentence
 */
export const recoverFailed = async (
  { config, db }: Pick<Background, 'config' | 'db'>,
  { do: act, filter, failedBefore }: Recovery,
  { by, signal, progress }: { by: string; signal: AbortSignal; progress(done: number, total: number | null): void },
): Promise<{ done: number; held: number; sentence: string }> => {
  const bounds = recoveryBounds(act, failedBefore)
  const { count, isAll } = await countFailed(db, filter, bounds)
  const total = isAll ? count : null
  let done = 0
  let held = 0
  const paths = runtimePaths(config.runtime)
  const carryOut = async (ids: readonly number[]) => {
    if (act === 'retry') {
      const some = await retryFailed(db, ids, { by, now: Date.now(), failedBefore })
      done += some.retried
      held += some.held
      ring(config.runtime)
    } else {
      const gone = await discardFailed(db, ids, { failedBefore, now: Date.now() })
      done += gone.length
      for (const { id, number } of gone)
        for (let run = number; run > 0 && run > number - runsKept; run--)
          rmSync(paths.run(runName(id, run)).folder, { recursive: true, force: true })
    }
    progress(done, total)
  }
  const some = rowsAtOnce[db.dialect]
  let after: number | null = null
  do {
    const slice = await sliceFailed(db, filter, { after, ...bounds })
    for (let from = 0; from < slice.ids.length && !signal.aborted; from += some) {
      const began = performance.now()
      await carryOut(slice.ids.slice(from, from + some))
      await leaveRoom(db, performance.now() - began)
    }
    after = slice.next
  } while (after !== null && !signal.aborted)
  const number = (value: number) => value.toLocaleString('en')
  const left = held > 0 ? `; ${number(held)} ${held === 1 ? 'stays' : 'stay'} failed, since other tasks have their unique keys by now` : ''
  return {
    done,
    held,
    sentence: `${act === 'retry' ? 'retried' : 'discarded'} ${number(done)} ${done === 1 ? 'failed task' : 'failed tasks'}${left}`,
  }
}
