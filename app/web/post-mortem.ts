import { existsSync } from 'node:fs'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { existing } from '../api/control.ts'
import { BgtaskError } from '../errors.ts'
import { hostId } from '../runs/host-id.ts'
import { readShownOutput } from '../runs/read-shown-output.ts'
import { type Redaction, redactionOf } from '../runs/redaction.ts'
import { runHasEnded } from '../runs/run-has-ended.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { startFactsOf } from '../runs/started-with.ts'
import { readTicket } from '../runs/ticket.ts'
import { redactJson } from '../secrets/redact-json.ts'
import { type AuditEntry, listAudit } from '../store/audit.ts'
import type { Db } from '../store/database.ts'
import { findTask } from '../store/find-task.ts'
import { findRun } from '../store/list-runs.ts'
import { type EarlierRun, findStartFacts, runsBefore, succeededBefore } from '../store/post-mortem.ts'
import { causeOf } from '../task/cause.ts'
import { explainExitCode } from '../task/exit-words.ts'
import { explainEnd } from '../task/explain.ts'
import { isGoodBefore } from '../task/good-run.ts'
import { isBadEnd } from '../task/outcome.ts'
import { type Run, runName } from '../task/run.ts'
import { sampleSpans } from '../task/sample.ts'
import { type Change, changedAtStart, type StartFacts } from '../task/start-facts.ts'
import type { Json, Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import { harmless } from '../texts/control-characters.ts'
import { auditNote } from '../texts/stored.ts'
import { ansiToHtml } from './ansi.ts'
import { actAndFailure, auditActs, auditSentence } from './audit-sentence.ts'
import { lifeCharts } from './life-charts.ts'
import type { Panel } from './panel.ts'
import { postMortemFile } from './post-mortem-file.ts'
import { parseTaskId, taskIdOf } from './task-id.ts'

const linesShown = 200
const bytesRead = 256 * 1024
/** Runs looked through for the last good one. */
const runsLookedThrough = 200
const auditMs = 86_400_000
const auditRows = 20

/** One run that has ended: all that is known of why, as a page and as a file. */
export const registerPostMortem = (app: FastifyInstance, panel: Panel) => {
  app.get('/core/bgtask/:id/runs/:number', async (request, reply) => {
    const model = await postMortemModel(panel, taskIdOf(request), numberOf(request))
    const audit = model.audit.map(row => ({
      at: row.at,
      said: auditSentence(request.language, row),
      note: row.detail && auditNote(request.language, row.detail),
    }))
    return reply.page('post-mortem', { ...model, audit, outputHtml: model.output.html })
  })

  app.get('/core/bgtask/:id/runs/:number/report', async (request, reply) => {
    const model = await postMortemModel(panel, taskIdOf(request), numberOf(request))
    return reply
      .header('content-disposition', `attachment; filename="task-${model.task.id}-run-${model.run.number}.md"`)
      .type('text/markdown; charset=utf-8')
      .send(postMortemFile(request.language, model))
  })
}

export type PostMortem = Awaited<ReturnType<typeof postMortemModel>>

/** What is known of a run, without secrets. @throws BgtaskError `not-found` */
export const postMortemModel = async (panel: Pick<Panel, 'config' | 'background'>, id: number, number: number) => {
  const { config, background } = panel
  const { db } = background
  const redaction = redactionOf(config)
  const stored = await existing(background, id)
  const found = await findRun(db, id, number)
  if (!found) throw new BgtaskError('not-found', told`Run ${number} of task ${id} is not there: it never was, or it was pruned.`)
  const run = redaction.run(found, stored)
  const good = await lastGood(db, stored, found)
  const audit = (await auditBefore(db, id, found.endedAt ?? Date.now())).map(row => hideIn(redaction, stored, row))
  return {
    task: redaction.task(stored),
    run,
    end: explainEnd(run, stored),
    cause: causeOf(run),
    exit: explainExitCode(run),
    isBad: run.outcome !== null && isBadEnd(run.outcome),
    good,
    changes: await changesSince(panel, stored, found, good),
    // In the minutes that are kept such a life has no figures of its own: others of the loop are in them.
    isShort: isShort(found),
    charts: stored.execType === 'FOREVER' && !isShort(found) ? await lifeCharts(db, found) : null,
    output: lastOutput(panel, stored, found),
    audit,
  }
}

const isShort = ({ startedAt, endedAt }: Run) => endedAt !== null && endedAt - startedAt < sampleSpans[0]

const numberOf = (request: FastifyRequest): number => {
  const { number } = request.params as { number: string }
  const parsed = parseTaskId(number)
  if (parsed === null) throw new BgtaskError('not-found', told`Run ${number.slice(0, 40)} does not exist.`)
  return parsed
}

/** The newest run before it that is no example of the same trouble: of this task, or for a ONCE task without one, of the last that succeeded. */
const lastGood = async (db: Db, task: Task, later: Run): Promise<Pick<EarlierRun, 'taskId' | 'number' | 'endedAt'> | null> => {
  const good = (await runsBefore(db, task.id, later.number, runsLookedThrough)).find(earlier => isGoodBefore(earlier, later))
  if (good) return good
  if (task.execType === 'FOREVER') return null
  const other = await succeededBefore(db, task.action, task.id)
  const run = other && (await findRun(db, other.id, other.number))
  return run && { taskId: run.taskId, number: run.number, endedAt: run.endedAt }
}

/** @returns null when it is not known of one of the two with what it was started */
const changesSince = async (
  panel: Pick<Panel, 'config' | 'background'>,
  task: Task,
  run: Run,
  good: Pick<EarlierRun, 'taskId' | 'number'> | null,
): Promise<Change[] | null> => {
  if (!good) return null
  const { db } = panel.background
  const [after, before] = [await startFacts(panel, task.id, run.number), await startFacts(panel, good.taskId, good.number)]
  if (!after || !before) return null
  // The params of a ONCE task stay what they are.
  const goodTask = good.taskId === task.id ? task : await findTask(db, good.taskId)
  const paramsAfter = after.params ?? task.params
  const paramsBefore = before.params ?? goodTask?.params ?? paramsAfter
  // As people may see them: would it be told that what is hidden differs, a right guess would show by nothing being told.
  const redactor = redactionOf(panel.config).ofParams([paramsBefore, paramsAfter])
  const shown = (params: Json) => redactJson(params, redactor)
  return changedAtStart({ ...before, params: shown(paramsBefore) }, { ...after, params: shown(paramsAfter) })
}

// The ticket tells it as long as it is there, the row longer.
const startFacts = async (
  { config, background }: Pick<Panel, 'config' | 'background'>,
  taskId: number,
  number: number,
): Promise<StartFacts | null> => {
  const ticket = readTicket(runtimePaths(config.runtime).run(runName(taskId, number)).folder)
  return (ticket && startFactsOf(ticket)) ?? findStartFacts(background.db, taskId, number)
}

/** `kept`: it may be empty. `pruned`: the folder of the run is gone. `elsewhere`: it lies on another host. */
const lastOutput = ({ config }: Pick<Panel, 'config'>, task: Task, { taskId, number, host }: Run) => {
  const paths = runtimePaths(config.runtime).run(runName(taskId, number))
  const nothing = { text: '', html: '', lines: 0 }
  if (readTicket(paths.folder) === null) {
    // With a database server a look needs no runtime folder here, and makes none.
    const isHere = existsSync(config.runtime) && host === hostId(config.runtime)
    return { is: isHere ? ('pruned' as const) : ('elsewhere' as const), ...nothing }
  }
  const { text } = readShownOutput(paths.folder, () => redactionOf(config).ofOutput(paths.folder, task), {
    maxBytes: bytesRead,
    ended: runHasEnded(paths.folder),
  })
  const lines = text.trimEnd().split('\n').slice(-linesShown)
  const last = lines.join('\n')
  return { is: 'kept' as const, text: harmless(last), html: ansiToHtml(last), lines: last === '' ? 0 : lines.length }
}

/** What people did to this task and to the supervisor in the day before, newest first; without from where. */
const auditBefore = async (db: Db, taskId: number, until: number): Promise<AuditEntry[]> => {
  const span = { since: until - auditMs, until: until + 1_000, limit: auditRows }
  const ofTask = (await listAudit(db, { ...span, subject: String(taskId) })).filter(({ act }) => act.startsWith('task-'))
  const ofSupervisor = await listAudit(db, { ...span, act: supervisorActs })
  return [...ofTask, ...ofSupervisor].sort((a, b) => b.id - a.id).slice(0, auditRows)
}
const supervisorActs = auditActs.filter(act => act.startsWith('loop-')).flatMap(actAndFailure)

const hideIn = (redaction: Redaction, { params }: Task, { id, at, act, userName, via, subject, detail }: AuditEntry) => ({
  ...{ id, at, act, userName, via, subject },
  detail: detail && redaction.ofParams(params).text(detail),
})
