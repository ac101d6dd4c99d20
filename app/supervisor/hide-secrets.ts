import { messageOf } from '../errors.ts'
import type { SecretConfig } from '../runs/known-secrets.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { redactionOf } from '../runs/redaction.ts'
import type { Ticket } from '../runs/ticket.ts'

/**
 * The end of a run as it goes into the database: what it said, without the secrets of its params, of this installation, and those that its action
 * registered. These are known only while its folder is there, and the row outlives that.
 */
export const hideSecrets = (config: SecretConfig, folder: string, { params }: Pick<Ticket, 'params'>, end: RunEnd): RunEnd => {
  if (end.content === null && end.error === null) return end
  try {
    const redactor = redactionOf(config).ofRun(folder, params)
    return {
      ...end,
      content: end.content === null ? null : redactor.text(end.content),
      error: end.error === null ? null : redactor.text(end.error),
    }
  } catch (error) {
    // How it ended must be told in any case; what it said, only without secrets.
    return {
      ...end,
      content: null,
      error: `What it said is not shown, since its secrets cannot be read (${messageOf(error)}); it lies in ${folder}.`,
    }
  }
}
