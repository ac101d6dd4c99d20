import { redactionOf } from '../runs/redaction.ts'
import { redactJson } from '../secrets/redact-json.ts'
import type { Schedule } from '../task/schedule.ts'

/** A schedule as people may see it: without the secrets of its params. The stored one stays as it is, for its tasks. */
export const showSchedule = (config: Parameters<typeof redactionOf>[0], schedule: Schedule): Schedule => {
  const redactor = redactionOf(config).ofParams(schedule.params)
  const { options, note } = schedule
  return {
    ...schedule,
    params: redactJson(schedule.params, redactor),
    options: {
      ...options,
      type: redactor.text(options.type),
      creator: redactor.text(options.creator),
      uniqueKey: options.uniqueKey === null ? null : redactor.text(options.uniqueKey),
    },
    note: note?.code === 'failed' ? { ...note, detail: redactor.text(note.detail) } : note,
  }
}
