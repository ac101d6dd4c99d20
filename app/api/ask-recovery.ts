import { BgtaskError } from '../errors.ts'
import type { FailedFilter } from '../store/recover.ts'
import { recoveryAction } from '../task/core-actions.ts'
import { isErrorKey } from '../task/error-pattern.ts'
import { told } from '../task/told.ts'
import type { Background } from './background.ts'
import type { Recovery } from './recover-failed.ts'
import { showValue } from './show-value.ts'
import type { AddedBy, StoredTask } from './store-tasks.ts'

/**
 * Adds the task that retries, or discards, all failed tasks which the filter lets through.
 * @param asked.by who asks, as told on pages @param asked.actor whose act it is, for the audit
 * @throws BgtaskError `refused` when the filter cannot be one
 */
export const askRecovery = async (
  background: Background,
  act: Recovery['do'],
  filter: FailedFilter,
  { by, actor }: { by: string; actor: AddedBy },
): Promise<StoredTask> => {
  if (filter.error !== undefined && !isErrorKey(filter.error))
    throw new BgtaskError(
      'refused',
      told`error is ${showValue(filter.error)}; give the key of an error as the list of failed tasks has it.`,
    )
  const params = { do: act, filter: { ...filter }, failedBefore: Date.now() } satisfies Recovery
  const detail = `${act}: ${describeFilter(filter)}`
  // Ahead of what it has retried already, should it be run again after a crash.
  const options = { type: 'recovery', creator: by, priority: -100 }
  const [stored] = await background.storeTasks([{ action: recoveryAction, params, options }], {
    by,
    actor: { ...actor, act: `failed-${act}`, detail },
  })
  return stored!
}

/** `action report/build, creator eva`, or `all that failed`. */
export const describeFilter = (filter: FailedFilter): string => {
  const parts = Object.entries(filter).map(([name, value]) => `${name} ${value}`)
  return parts.length > 0 ? parts.join(', ') : 'all that failed'
}
