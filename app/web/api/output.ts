import { existsSync } from 'node:fs'
import { Type } from 'typebox'
import { taskGiven } from '../../api/task-given.ts'
import { BgtaskError } from '../../errors.ts'
import { hostId } from '../../runs/host-id.ts'
import { readShownOutput } from '../../runs/read-shown-output.ts'
import { redactionOf } from '../../runs/redaction.ts'
import { runHasEnded } from '../../runs/run-has-ended.ts'
import { runtimePaths } from '../../runs/runtime-folder.ts'
import { findRun } from '../../store/list-runs.ts'
import { runName } from '../../task/run.ts'
import type { Task } from '../../task/task.ts'
import type { Panel } from '../panel.ts'
import type { Api } from './register.ts'
import { taskParams } from './schemas.ts'

/** What a run printed, in pieces, without its secrets. */
export const registerOutputApi = (api: Api, panel: Panel) => {
  api.get('/tasks/:id/output', { schema: outputSchema }, async (request, reply) => {
    const { run, offset, tail, maxBytes = 262_144 } = request.query
    if (offset !== undefined && tail !== undefined) throw new BgtaskError('refused', 'Both offset and tail are given; give one of them.')
    const task = await taskGiven(panel.background, request.params.id)
    const number = run ?? task.number
    const folder = await folderOf(panel, task, number)
    const ended = runHasEnded(folder)
    const redactor = () => redactionOf(panel.config).ofOutput(folder, task)
    const piece = readShownOutput(folder, redactor, { ended, maxBytes, ...(offset === undefined ? {} : { from: offset, continued: true }) })
    const text = tail === undefined ? piece.text : lastLines(piece.text, tail)
    return reply
      .headers({
        'bgtask-run': String(number),
        'bgtask-output-from': String(piece.from),
        'bgtask-output-to': String(piece.to),
        'bgtask-output-size': String(piece.size),
        'bgtask-run-ended': String(ended),
      })
      .type('text/plain; charset=utf-8')
      .send(text)
  })
}

const outputSchema = {
  summary: 'What a run printed',
  description:
    'The newest part of it, or from `offset` on: give `bgtask-output-to` of an answer as the next `offset` to follow a run that lives. ' +
    'An offset beyond the end (the output was rotated) begins anew; `bgtask-output-from` says where. Secrets are hidden.',
  params: taskParams,
  querystring: Type.Object(
    {
      run: Type.Optional(Type.Integer({ minimum: 1, description: 'Number of the run; the newest without.' })),
      offset: Type.Optional(Type.Integer({ minimum: 0, description: 'Byte to begin at.' })),
      tail: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, description: 'Only so many lines of the end.' })),
      maxBytes: Type.Optional(Type.Integer({ minimum: 1_024, maximum: 1_048_576, default: 262_144 })),
    },
    { additionalProperties: false },
  ),
  response: { 200: { description: 'The text.', content: { 'text/plain': { schema: Type.String() } } } },
  answerHeaders: {
    'bgtask-run': 'Number of the run.',
    'bgtask-output-from': 'Byte at which the text begins.',
    'bgtask-output-to': 'Byte after its end: the next offset.',
    'bgtask-output-size': 'Bytes that there are.',
    'bgtask-run-ended': '`true`: no more will come.',
  },
  errors: [404],
} as const

const folderOf = async ({ config, background: { db } }: Panel, { id }: Task, number: number): Promise<string> => {
  if (number === 0) throw new BgtaskError('not-found', `Task ${id} has not run yet, so there is no output.`)
  const { folder } = runtimePaths(config.runtime).run(runName(id, number))
  if (existsSync(folder)) return folder
  const run = await findRun(db, id, number)
  if (!run) throw new BgtaskError('not-found', `Task ${id} has no run ${number}; GET /api/v1/tasks/${id}/runs lists its runs.`)
  const where =
    run.host === hostId(config.runtime) ? 'is gone: it was pruned, or the run was never spawned' : `lies on another host (${run.host})`
  throw new BgtaskError('not-found', `The output of run ${number} ${where}.`)
}

const lastLines = (text: string, lines: number): string => {
  let at = text.endsWith('\n') ? text.length - 1 : text.length
  for (let found = 0; found < lines && at >= 0; found++) at = text.lastIndexOf('\n', at - 1)
  return at < 0 ? text : text.slice(at + 1)
}
