import { type RestartPolicy, restartPolicy } from '../task/restart-policy.ts'
import { placeInTimetable, restartTimetable, type TimetablePlace, type TimetableRow } from '../task/restart-timetable.ts'
import type { Task } from '../task/task.ts'

export interface Timetable {
  policy: RestartPolicy
  rows: (TimetableRow & { from: number; to: number })[]
  /** Where the times stand that are written above, in percent of the width. */
  ticks: { ms: number; at: number }[]
  /** Where the loop is, if it waits. */
  here: (TimetablePlace & { at: number }) | null
}

const ticksMs = [1_000, 10_000, 60_000, 600_000]
const leastMs = 500
const mostMs = 2_400_000

/** The restart policy as it is drawn, on one axis from half a second to forty minutes. */
export const timetable = (task: Pick<Task, 'state' | 'reason'>): Timetable => {
  const rows = restartTimetable()
  const here = placeInTimetable(rows, task)
  return {
    policy: restartPolicy,
    rows: rows.map(row => ({ ...row, from: placeOf(row.fromMs), to: Math.max(placeOf(row.toMs), placeOf(row.fromMs) + leastWidth) })),
    ticks: ticksMs.map(ms => ({ ms, at: placeOf(ms) })),
    here: here && { ...here, at: placeOf(here.waitMs) },
  }
}

/** Percent; what is at once stands at the beginning. */
const leastWidth = 1.5

// Each tenfold is as wide as the next, since the waits grow so.
const placeOf = (ms: number): number => {
  const part = Math.log(Math.max(leastMs, Math.min(mostMs, ms)) / leastMs) / Math.log(mostMs / leastMs)
  return Math.round(part * 1_000) / 10
}
