import { defineAction, success } from '../index.ts'
import { errorKeyPattern } from '../task/error-pattern.ts'

/** Works on all failed tasks that a filter lets through, a few hundred at a time; asked for on the page of failed tasks, by CLI and API. */
export default defineAction({
  description: 'Retries or discards failed tasks, as many as there are.',
  execType: 'ONCE',
  maxAttempts: 3,
  params: {
    type: 'object',
    properties: {
      do: { enum: ['retry', 'discard'], description: 'What becomes of them' },
      filter: {
        type: 'object',
        properties: {
          action: { type: 'string', maxLength: 160 },
          type: { type: 'string', maxLength: 64 },
          creator: { type: 'string', maxLength: 64 },
          error: { type: 'string', pattern: errorKeyPattern },
        },
        additionalProperties: false,
      },
      failedBefore: { type: 'integer', minimum: 0, description: 'Milliseconds since 1970: what fails after it is left alone' },
    },
    required: ['do', 'filter', 'failedBefore'],
    additionalProperties: false,
  },
  async execute({ params, task, signal, log, progress }) {
    const [{ recoverFailed }, { openRunBackground }, { currentRun }] = await Promise.all([
      import('../api/recover-failed.ts'),
      import('../runner/database.ts'),
      import('../runner/current-run.ts'),
    ])
    const background = await openRunBackground(currentRun()!)
    const { done, held, sentence } = await recoverFailed(background, params, { by: `#${task.id}`, signal, progress })
    if (held > 0) log.warn('some were left failed, since another task has their unique key by now', { held })
    // Nothing returned counts as stopped early: what is left is still failed, and the next run goes on with it.
    if (signal.aborted) return log('stopped', { done })
    return success(sentence)
  },
})
