import type { NewSchedule } from '../../app/store/insert-schedule.ts'
import type { ScheduledOptions } from '../../app/task/schedule.ts'

/** A schedule with nothing special about it: every second from `anchorAt` on. */
export const newSchedule = (name: string, anchorAt: number, more: Partial<NewSchedule> = {}): NewSchedule => ({
  name,
  rule: { everyMs: 1_000, anchorAt },
  action: 'test/ok',
  params: { name },
  options: scheduledOptions,
  missed: 'all',
  overlap: 'allow',
  nextAt: anchorAt + 1_000,
  madeBy: 'kim',
  madeFrom: 'panel',
  declared: null,
  ...more,
})

export const scheduledOptions: ScheduledOptions = {
  type: 'nightly',
  creator: 'kim',
  priority: 0,
  uniqueKey: null,
  onConflict: 'keep',
  maxAttempts: 1,
  timeoutMs: null,
  graceMs: 10_000,
  rerunAfterCrash: true,
}
