import type { SecretConfig } from '../runs/known-secrets.ts'
import { redactionOf } from '../runs/redaction.ts'
import { startFactsOf } from '../runs/started-with.ts'
import type { Ticket } from '../runs/ticket.ts'
import { redactJson } from '../secrets/redact-json.ts'
import type { StartFacts } from '../task/start-facts.ts'

/** With what a run was started, as its row keeps it: without what is secret in its params, which only the ticket and the task need. */
export const keptStartFacts = (config: SecretConfig, ticket: Ticket): StartFacts | null => {
  const facts = startFactsOf(ticket)
  if (facts?.params === undefined) return facts
  const { params, ...others } = facts
  try {
    return { ...others, params: redactJson(params, redactionOf(config).ofParams(params)) }
  } catch {
    return others // what is secret cannot be told apart just now, and a loop is started all the same
  }
}
