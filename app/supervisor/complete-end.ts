import { messageOf } from '../errors.ts'
import { readArtifacts } from '../runs/artifacts-file.ts'
import type { SecretConfig } from '../runs/known-secrets.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runPaths } from '../runs/runtime-folder.ts'
import type { Ticket } from '../runs/ticket.ts'
import { hideSecrets } from './hide-secrets.ts'

/** The end of a run as it goes into the database: with the files that it declared, also when it died since, and without secrets. */
export const completeEnd = (config: SecretConfig, folder: string, ticket: Pick<Ticket, 'params' | 'bounds'>, end: RunEnd): RunEnd => {
  const shown = hideSecrets(config, folder, ticket, end)
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
