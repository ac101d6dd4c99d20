import type { FastifyReply, FastifyRequest } from 'fastify'
import { artifactsOfRun } from '../api/artifacts-of-run.ts'
import { openArtifact, type Trouble } from '../api/open-artifact.ts'
import { BgtaskError } from '../errors.ts'
import { findRun } from '../store/list-runs.ts'
import type { Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import { WebError } from './explain-error.ts'
import type { Panel } from './panel.ts'
import { parseTaskId } from './task-id.ts'

/**
 * A file that a run declared, to be saved and never to be shown: what an action has written is hostile to whoever looks at it here. A part of it is
 * answered too, so that a download that broke off can go on.
 */
export const answerArtifact = async (panel: Panel, task: Pick<Task, 'id'>, request: FastifyRequest, reply: FastifyReply) => {
  const { number, n } = request.params as { number: string; n: string }
  const run = await findRun(panel.background.db, task.id, parseTaskId(number) ?? 0)
  const artifact = run && (await artifactsOfRun(panel.config, panel.background.db, run)).find(({ n: its }) => its === parseTaskId(n))
  if (!run || !artifact)
    throw new BgtaskError('not-found', told`Run ${number.slice(0, 20)} of task ${task.id} has declared no file ${n.slice(0, 20)}.`)
  const opened = await openArtifact(panel.config, artifact, run)
  if (typeof opened === 'string') throw new WebError(statusOf[opened], `artifact.${opened}`, { name: artifact.name })
  const tag = `"${[artifact.inode, opened.sizeBytes, opened.modifiedAt].map(value => Math.trunc(Number(value)).toString(36)).join('-')}"`
  const asked = request.headers['if-range'] === undefined || request.headers['if-range'] === tag ? request.headers.range : undefined
  const range = rangeOf(asked, opened.sizeBytes)
  if (range === 'none') {
    opened.close()
    reply.header('content-range', `bytes */${opened.sizeBytes}`)
    throw new WebError(416, 'artifact.range', { name: artifact.name })
  }
  reply
    .header('content-disposition', dispositionOf(artifact.name))
    .header('x-content-type-options', 'nosniff')
    .header('content-security-policy', "default-src 'none'; sandbox")
    .header('accept-ranges', 'bytes')
    .header('etag', tag)
    .type('application/octet-stream')
  const { first, last } = range ?? { first: 0, last: opened.sizeBytes - 1 }
  if (range) reply.code(206).header('content-range', `bytes ${first}-${last}/${opened.sizeBytes}`)
  return reply.header('content-length', last - first + 1).send(opened.read(first, last))
}

const statusOf: Record<Trouble, number> = {
  gone: 410,
  replaced: 410,
  changed: 410,
  unreadable: 403,
  'kept-back': 403,
  elsewhere: 409,
  busy: 429,
}

/** @returns null for the whole, also when what is asked is not understood; 'none' when it lies beyond the end */
export const rangeOf = (asked: string | undefined, size: number): { first: number; last: number } | 'none' | null => {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(asked ?? '')
  if (!found || (found[1] === '' && found[2] === '')) return null
  const [from, to] = [found[1]!, found[2]!]
  const first = from === '' ? Math.max(0, size - Number(to)) : Number(from)
  const last = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1)
  if (from !== '' && to !== '' && Number(to) < Number(from)) return null
  return first >= size || first > last ? 'none' : { first, last }
}

/** RFC 6266: the name as it is, and for who does not understand that, in ASCII. */
export const dispositionOf = (name: string): string => {
  const plain = name.replace(/[^A-Za-z0-9._ -]/g, '_')
  const encoded = encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`
}
