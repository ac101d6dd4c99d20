import { Type } from 'typebox'
import { taskGiven } from '../../api/task-given.ts'
import { BgtaskError } from '../../errors.ts'
import { findRun } from '../../store/list-runs.ts'
import { answerArtifact } from '../artifact-answer.ts'
import { artifactsModel } from '../artifacts.ts'
import type { Panel } from '../panel.ts'
import type { Api } from './register.ts'
import { orNull, taskParams } from './schemas.ts'

/** The files that runs declared to have made. */
export const registerArtifactsApi = (api: Api, panel: Panel) => {
  api.get('/tasks/:id/artifacts', { schema: listSchema }, async ({ params, query }) => {
    const task = await taskGiven(panel.background, params.id)
    const number = query.run ?? task.number
    const run = number === 0 ? null : await findRun(panel.background.db, task.id, number)
    if (query.run !== undefined && !run) throw new BgtaskError('not-found', `Task ${task.id} has no run ${query.run}.`)
    const artifacts = (await artifactsModel(panel, run)).map(({ n, name, sizeBytes, trouble }) => ({
      run: number,
      n,
      name,
      sizeBytes,
      trouble,
      path: `/api/v1/tasks/${task.id}/artifacts/${number}/${n}`,
    }))
    return { artifacts }
  })

  api.get('/tasks/:id/artifacts/:number/:n', { schema: fileSchema }, async (request, reply) =>
    answerArtifact(panel, await taskGiven(panel.background, request.params.id), request, reply),
  )
}

const listSchema = {
  summary: 'The files that a run declared to have made',
  params: taskParams,
  querystring: Type.Object(
    { run: Type.Optional(Type.Integer({ minimum: 1, description: 'Number of the run; the newest without.' })) },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        artifacts: Type.Array(
          Type.Object(
            {
              run: Type.Integer(),
              n: Type.Integer({ description: '1, 2, 3 … within the run.' }),
              name: Type.String(),
              sizeBytes: Type.Integer({ minimum: 0 }),
              trouble: orNull(Type.String({ description: 'Why it cannot be downloaded: gone, replaced, changed …' })),
              path: Type.String({ description: 'Where it is downloaded.' }),
            },
            { additionalProperties: false },
          ),
        ),
      },
      { additionalProperties: false },
    ),
  },
  errors: [404],
} as const

const fileSchema = {
  summary: 'A file that a run made',
  description: 'As it lies there now; a part of it for a request with Range. 410 when it is gone, or is no longer what the run made.',
  params: Type.Object({ ...taskParams.properties, number: Type.String({ description: 'Number of the run.' }), n: Type.String() }),
  response: {
    200: { description: 'The file.', content: { 'application/octet-stream': { schema: Type.String() } } },
    206: { description: 'A part of it.', content: { 'application/octet-stream': { schema: Type.String() } } },
  },
  errors: [404, 409, 410, 416],
} as const
