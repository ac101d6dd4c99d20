import { fromReason } from './rows.ts'

/** Values of a task that has ended and is to be run again, as if it had never been tried. @param by who asked for it */
export const waitsAgain = (by: string, now: number) =>
  ({
    state: 'waiting',
    wanted: 'up',
    reason: fromReason({ code: 'wished-again', at: now, by }),
    attempt: 0,
    crash_count: 0,
    run_at: now,
    due: 'now',
    finished_at: null,
    updated_at: now,
  }) as const
