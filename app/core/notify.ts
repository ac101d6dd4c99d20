import { defineAction, failure, success } from '../index.ts'

/** Tells incidents by a webhook or by mail. A process of its own, so that neither supervisor nor panel opens connections to the world. */
export default defineAction({
  description: 'Tells incidents, by webhook or mail, to those whom the configuration names.',
  execType: 'ONCE',
  maxAttempts: 60,
  params: {
    type: 'object',
    properties: {
      channel: { enum: ['webhook', 'mail'] },
      test: { type: 'object', properties: { by: { type: 'string', maxLength: 64 } }, required: ['by'], additionalProperties: false },
    },
    required: ['channel'],
    additionalProperties: false,
  },
  async execute({ params, task, run, signal, log, secret }) {
    const [
      { loadConfig },
      { readNotify },
      { notifySecrets },
      { tellIncidents, tellTest },
      { openRunBackground },
      { currentRun },
      { findTask },
    ] = await Promise.all([
      import('../config.ts'),
      import('../runs/notify-file.ts'),
      import('../runs/known-secrets.ts'),
      import('../notify/tell-incidents.ts'),
      import('../runner/database.ts'),
      import('../runner/current-run.ts'),
      import('../store/find-task.ts'),
    ])
    const notify = readNotify((await loadConfig()).runtime)
    const { channel, test } = params
    if (!notify?.[channel]) return failure(`No ${channel} is set any more (BGTASK_NOTIFY_…), so nothing is told by it.`)
    for (const value of notifySecrets(notify)) if (value.length >= 6) secret(value)
    if (test) {
      const { ok, sentence } = await tellTest(notify, channel, task.uid, test.by, signal)
      return ok ? success(sentence) : failure(sentence)
    }
    const { db } = await openRunBackground(currentRun()!)
    const stored = await findTask(db, task.id)
    const told = await tellIncidents(db, notify, channel, {
      // By hand it may be beside a run of the supervisor, which must not take it for an earlier one of its own.
      claim: process.env.BGTASK_RUN_FOLDER ? `${task.id} ${run.number}` : `by-hand-${process.pid} ${task.id}`,
      gather: task.attempt === 0,
      lastTry: stored !== null && task.attempt + 1 >= stored.maxAttempts,
      signal,
      log,
    })
    if (signal.aborted && !told.ok) return undefined
    return told.ok ? success(told.sentence) : failure(told.sentence)
  },
})
