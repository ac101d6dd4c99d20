import type { NewTask } from '../../app/store/insert-task.ts'

/** A task with nothing special about it, but for what is given. */
export const newTask = (more: Partial<NewTask> = {}): NewTask => ({
  action: 'demo/once',
  params: {},
  execType: 'ONCE',
  type: '',
  creator: '',
  priority: 0,
  runAt: 1_000,
  uniqueKey: null,
  onConflict: 'keep',
  maxAttempts: 1,
  timeoutMs: null,
  graceMs: 10_000,
  rerunAfterCrash: true,
  ...more,
})

export const owner = { host: 'host-1', epoch: 'epoch-1' }
