import type { FastifyInstance } from 'fastify'
import { artifactsOfRun } from '../api/artifacts-of-run.ts'
import { existing } from '../api/control.ts'
import { lookAtArtifact } from '../api/open-artifact.ts'
import type { Run } from '../task/run.ts'
import { answerArtifact } from './artifact-answer.ts'
import type { Panel } from './panel.ts'
import { taskIdOf } from './task-id.ts'

export const registerArtifacts = (app: FastifyInstance, panel: Panel) => {
  app.get('/core/bgtask/:id/artifacts/:number/:n', async (request, reply) =>
    answerArtifact(panel, await existing(panel.background, taskIdOf(request)), request, reply),
  )
}

/** The files that a run has declared, with how they lie there now: `trouble` says why one cannot be downloaded. */
export const artifactsModel = async ({ config, background }: Pick<Panel, 'config' | 'background'>, run: Run | null) => {
  if (run === null) return []
  const declared = await artifactsOfRun(config, background.db, run)
  return Promise.all(
    declared.map(async artifact => {
      const found = await lookAtArtifact(config, artifact, run)
      const { n, name, number, taskId } = artifact
      return typeof found === 'string'
        ? { n, name, number, taskId, sizeBytes: artifact.sizeBytes, trouble: found }
        : { n, name, number, taskId, sizeBytes: found.sizeBytes, trouble: null }
    }),
  )
}
