import { defineAction, success } from '../index.ts'

/** Works on all tasks that a filter lets through, a few hundred at a time. What is asked stands in bg_bulk, where nobody writes who adds a task. */
export default defineAction({
  description: 'Does to all tasks that match a filter what was asked for on their list.',
  execType: 'ONCE',
  maxAttempts: 3,
  params: { type: 'object', additionalProperties: false },
  async execute({ task, signal, log, progress }) {
    const [{ carryOutBulk }, { openRunBackground }, { currentRun }] = await Promise.all([
      import('../api/carry-out-bulk.ts'),
      import('../runner/database.ts'),
      import('../runner/current-run.ts'),
    ])
    const { done, held, sentence } = await carryOutBulk(await openRunBackground(currentRun()!), task.id, { signal, progress })
    if (held > 0) log.warn('some were left alone, since other tasks have their unique keys by now', { held })
    // Nothing returned counts as stopped early: the next run goes on with what is left.
    if (signal.aborted) return log('stopped', { done })
    return success(sentence)
  },
})
