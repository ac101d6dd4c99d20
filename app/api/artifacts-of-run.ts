import type { Config } from '../config.ts'
import { readArtifacts } from '../runs/artifacts-file.ts'
import { hostId } from '../runs/host-id.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { readTicket } from '../runs/ticket.ts'
import { listArtifacts, type RunArtifact } from '../store/artifacts.ts'
import type { Db } from '../store/database.ts'
import { type Run, runName } from '../task/run.ts'

/** The files that a run has declared: from its row when it has ended, from its folder while it lives. */
export const artifactsOfRun = async (config: Config, db: Db, run: Run): Promise<RunArtifact[]> => {
  if (run.endedAt !== null) return listArtifacts(db, run.taskId, run.number)
  if (run.host !== hostId(config.runtime)) return []
  const { folder, artifacts } = runtimePaths(config.runtime).run(runName(run.taskId, run.number))
  const declared = readArtifacts(artifacts)
  if (declared.length === 0) return []
  const user = readTicket(folder)?.bounds?.user ?? null
  const redactor = redactionOf(config).ofRun(folder)
  return declared.map(artifact => ({ ...artifact, name: redactor.text(artifact.name), user, taskId: run.taskId, number: run.number }))
}
