import { backoffMs, type RestartPolicy, restartPolicy } from './restart-policy.ts'
import type { Task } from './task.ts'

/** One line of the timetable by which an ended loop is started again. */
export interface TimetableRow {
  /** `failure`: after the n-th failure in a row; `probe`: the n-th try of a loop that has tripped. */
  what: 'failure' | 'probe'
  n: number
  /** And for all that come after. */
  andMore: boolean
  /** The wait is drawn between these two; both 0: at once. */
  fromMs: number
  toMs: number
}

/** Where a loop is that waits. */
export interface TimetablePlace {
  /** Of the row that it is in. */
  index: number
  /** How long its wait was made, and when that ends (milliseconds since 1970). */
  waitMs: number
  until: number
}

export const restartTimetable = (policy: RestartPolicy = restartPolicy): TimetableRow[] => {
  const rows: TimetableRow[] = [{ what: 'failure', n: 1, andMore: false, fromMs: 0, toMs: 0 }]
  for (let n = 2; !rows.at(-1)!.andMore; n++) {
    const fromMs = backoffMs(n - 1, 0, policy)
    rows.push({ what: 'failure', n, andMore: fromMs >= policy.backoffMaxMs, fromMs, toMs: backoffMs(n - 1, 1, policy) })
  }
  const probes = policy.probeMs.map((ms, index): TimetableRow => {
    const andMore = index === policy.probeMs.length - 1
    return { what: 'probe', n: index + 1, andMore, fromMs: ms, toMs: Math.round(ms * 1.1) }
  })
  return [...rows, ...probes]
}

/** @returns null when it does not wait by this timetable */
export const placeInTimetable = (
  rows: readonly TimetableRow[],
  { state, reason }: Pick<Task, 'state' | 'reason'>,
): TimetablePlace | null => {
  if (!reason?.until || (state !== 'backing-off' && state !== 'tripped')) return null
  const waitMs = reason.until - reason.at
  const failures = reason.failures ?? 0
  const index =
    state === 'tripped'
      ? rows.findLastIndex(({ what, fromMs }) => what === 'probe' && fromMs <= waitMs)
      : rows.findLastIndex(({ what, n }) => what === 'failure' && failures > 0 && n <= failures)
  return index === -1 ? null : { index, waitMs, until: reason.until }
}
