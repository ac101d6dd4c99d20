import { BgtaskError } from '../errors.ts'
import { defineAction, failure, success } from '../index.ts'

/** A cron run: every hook, then each queue for its time. Hooks and queues have limits of their own; this one is for all of it. */
export default defineAction({
  description: 'Runs cron: the hooks and queues of the modules.',
  execType: 'ONCE',
  timeoutMs: 3_600_000,
  graceMs: 30_000,
  async execute(ctx) {
    const [{ runCron }, { openRunBackground }, { currentRun }] = await Promise.all([
      import('../cron/run-cron.ts'),
      import('../runner/database.ts'),
      import('../runner/current-run.ts'),
    ])
    const { kind, sentence } = await runCron({
      background: await openRunBackground(currentRun()!),
      taskId: ctx.task.id,
      number: ctx.run.number,
      signal: ctx.signal,
      log: ctx.log,
      progress: ctx.progress,
      secret: ctx.secret,
      addTask: ctx.addTask,
      kysely: ctx.db,
    })
    if (kind === 'busy') throw new BgtaskError('busy', sentence)
    if (kind === 'interrupted') return
    return kind === 'done' ? success(sentence) : failure(sentence)
  },
})
