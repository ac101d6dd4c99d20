import { messageOf } from '../errors.ts'
import { readArtifacts } from '../runs/artifacts-file.ts'
import type { SecretConfig } from '../runs/known-secrets.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { readShownOutput } from '../runs/read-shown-output.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runPaths } from '../runs/runtime-folder.ts'
import { startFactsOf } from '../runs/started-with.ts'
import type { Ticket } from '../runs/ticket.ts'
import { lastErrorLine } from '../task/last-error-line.ts'
import { isBadEnd } from '../task/outcome.ts'
import { harmless } from '../texts/control-characters.ts'
import { hideSecrets } from './hide-secrets.ts'

/** The end of a run as it goes into the database: with the files that it declared, also when it died since, and without secrets. */
export const completeEnd = (
  config: SecretConfig,
  folder: string,
  ticket: Pick<Ticket, 'params' | 'bounds'> & Partial<Ticket>,
  end: RunEnd,
): RunEnd => {
  const shown = withStart(ticket, withLastError(config, folder, ticket, hideSecrets(config, folder, ticket, end)))
  try {
    const declared = readArtifacts(runPaths(folder).artifacts)
    if (declared.length === 0) return shown
    const redactor = redactionOf(config).ofRun(folder, ticket.params)
    // As whom they are read is for the ticket to say, which we wrote, and not for the run.
    const user = ticket.bounds?.user ?? null
    return { ...shown, artifacts: declared.map(artifact => ({ ...artifact, name: redactor.text(artifact.name), user })) }
  } catch (error) {
    return { ...shown, error: [shown.error, `The files that it declared cannot be read (${messageOf(error)}).`].filter(Boolean).join('\n') }
  }
}

/** Its folder may be gone when somebody asks what was other than before. Of a loop its row knows already; of what went well nobody asks so much later. */
const withStart = (ticket: Pick<Ticket, 'params'> & Partial<Ticket>, end: RunEnd): RunEnd => {
  const startFacts = isBadEnd(end.kind) && ticket.execType === 'ONCE' ? startFactsOf(ticket) : null
  return startFacts ? { ...end, startFacts } : end
}

/** A program that leaves by itself has mostly printed why; its output may be gone when somebody asks. */
const withLastError = (config: SecretConfig, folder: string, { params }: Pick<Ticket, 'params'>, end: RunEnd): RunEnd => {
  if (end.kind !== 'exited') return end
  try {
    const { text } = readShownOutput(folder, () => redactionOf(config).ofRun(folder, params), { maxBytes: 16_384, ended: true })
    const printed = harmless(text)
    const error = lastErrorLine(printed)
    const line = printed.trimEnd().split('\n').at(-1)!.trim().slice(0, 300)
    const said = error !== null ? `Last error printed: ${error}` : line ? `Last line printed: ${line}` : null
    return said === null ? end : { ...end, error: [end.error, said].filter(Boolean).join('\n') }
  } catch {
    return end // its output tells it all the same
  }
}
