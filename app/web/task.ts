import type { FastifyInstance } from 'fastify'
import { existing } from '../api/control.ts'
import { BgtaskError } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { sizeOf } from '../runs/read-output.ts'
import { readShownOutput } from '../runs/read-shown-output.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runHasEnded } from '../runs/run-has-ended.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { findRun, listRuns } from '../store/list-runs.ts'
import { type LoopError, listLoopErrors } from '../store/loop-errors.ts'
import { scheduleOfTask } from '../store/schedule-of-task.ts'
import { wasCancelledWaiting } from '../task/cancelled-waiting.ts'
import { isBadEnd } from '../task/outcome.ts'
import { levelPatterns, outputLevels, ownLevelPattern } from '../task/output-level.ts'
import { type Run, runName } from '../task/run.ts'
import { isFinal, type Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import { ansiToHtml } from './ansi.ts'
import { artifactsModel } from './artifacts.ts'
import { createExplainer } from './explained.ts'
import { fieldsOf } from './fields.ts'
import { findNamed } from './find-named.ts'
import { keepEndingBadly } from './keep-ending-badly.ts'
import { longIterations } from './long-iterations.ts'
import { loopCharts } from './loop-charts.ts'
import { outputDownload } from './output-download.ts'
import { beatOf } from './overview.ts'
import type { Panel } from './panel.ts'
import { paramFaults } from './param-faults.ts'
import { taskAudit } from './task-audit.ts'
import { editsModel } from './task-edits.ts'
import { parseTaskId, taskIdOf } from './task-id.ts'
import { replacedBy, timelineModel } from './task-timeline.ts'
import { thisIteration } from './this-iteration.ts'
import { timetable } from './timetable.ts'

const runsOnPage = 20
const errorsOnPage = 20
/** Newest bytes of output on the page; all of it is a download away. */
export const outputOnPage = 128 * 1024

export const registerTaskPage = (app: FastifyInstance, panel: Panel) => {
  app.get('/core/bgtask/:id', async (request, reply) => {
    const named = await findNamed(panel, (request.params as { id: string }).id)
    if (named) return reply.redirect(`${panel.root}/core/bgtask/${named.id}`, 302)
    const model = await taskModel(panel, taskIdOf(request), request.query)
    return reply.page('task', { ...model, ...outputModel(panel, model.task.id, model.shownNumber) })
  })

  app.get('/core/bgtask/:id/output', async (request, reply) => {
    const id = taskIdOf(request)
    const task = await existing(panel.background, id)
    const number = parseTaskId(fieldsOf(request.query).run ?? '') ?? task.number
    const paths = runtimePaths(panel.config.runtime).run(runName(id, number))
    const older = fieldsOf(request.query).part === 'older'
    const path = older ? paths.rotatedOutput : paths.output
    if (sizeOf(path) === 0)
      throw new BgtaskError('not-found', told`Run ${number} of task ${id} has no output here: it printed nothing, or it was pruned.`)
    return reply
      .header('content-disposition', `attachment; filename="task-${id}-run-${number}${older ? '-older' : ''}.log"`)
      .type('application/octet-stream')
      .send(
        outputDownload(
          paths,
          older ? 'older' : 'newer',
          () => redactionOf(panel.config).ofOutput(paths.folder, task),
          runHasEnded(paths.folder),
        ),
      )
  })
}

/** What a task's page shows, but for the output; the same for all readers. @param query run: the run whose output is shown; before: older runs */
export const taskModel = async (panel: Pick<Panel, 'config' | 'background'>, id: number, query: unknown) => {
  const { db } = panel.background
  const redaction = redactionOf(panel.config)
  const stored = await existing(panel.background, id)
  const given = fieldsOf(query)
  const before = parseTaskId(given.before ?? '')
  const withoutSecrets = (run: Run | null) => run && redaction.run(run, stored)
  const found = await listRuns(db, id, { limit: runsOnPage, ...(before === null ? {} : { before }) })
  const runs = found.map(run => redaction.run(run, stored))
  const newest = before === null ? (runs[0] ?? null) : withoutSecrets(await findRun(db, id, stored.number))
  const chosen = parseTaskId(given.run ?? '')
  const shownNumber = chosen ?? newest?.number ?? stored.number
  const lastEnded = newest?.outcome ? newest : (runs.find(run => run.outcome !== null) ?? null)
  const entry = (await panel.background.catalog()).get(stored.action)
  const isLive = newest !== null && newest.endedAt === null
  const longIteration = (await longIterations(panel, [stored])).get(id) ?? null
  const badEnds = (await keepEndingBadly(db, [stored])).get(id) ?? null
  const explained = createExplainer(panel)(stored, { lastRun: lastEnded, longIteration, badEnds })
  const { task } = explained
  const beat = isLive ? beatOf(panel, task) : null
  const charts = task.execType === 'FOREVER' ? await loopCharts(db, id, given.span) : null
  const shown =
    runs.find(run => run.number === shownNumber) ?? (shownNumber > 0 ? withoutSecrets(await findRun(db, id, shownNumber)) : null)
  return {
    ...explained,
    task,
    runs,
    newest,
    shownNumber,
    shown,
    files: await artifactsModel(panel, newest),
    shownFiles: shown?.number === newest?.number ? [] : await artifactsModel(panel, shown),
    isChosen: chosen !== null,
    madeBy: await scheduleOfTask(db, id),
    replaces: await replacedBy(db, stored),
    timeline: await timelineModel(db, task, before === null ? runs : null, run => redaction.run(run, stored)),
    olderRuns: runs.length === runsOnPage && runs.at(-1)!.number > 1 ? runs.at(-1)!.number : null,
    beat,
    entry: entry ?? null,
    // Where its sentences speak of a bad end, all that is known of that is a click away.
    postMortem:
      lastEnded?.outcome && isBadEnd(lastEnded.outcome) && (explained.end ?? explained.cause ?? stored.reason?.code === 'misconfigured')
        ? lastEnded.number
        : null,
    paramFaults: await paramFaults(panel, entry ?? null, stored),
    buttons: buttonsOf(stored),
    command: `${ourCommand} ${task.action} ${id}`,
    params: JSON.stringify(task.params, null, 2),
    charts,
    errors: task.execType === 'FOREVER' ? await errorsModel(panel, stored) : null,
    // After an hour of it the charts know of no other iteration.
    thisIteration: thisIteration(beat, longIteration ?? charts, Date.now()),
    policy: task.execType === 'FOREVER' ? timetable(task) : null,
    audit: await taskAudit(db, stored),
    changes: await editsModel(panel, stored, newest, parseTaskId(given.edits ?? '')),
  }
}

/** By which errors a loop's lives ended, and its iterations. */
const errorsModel = async ({ config, background: { db } }: Pick<Panel, 'config' | 'background'>, { id, params }: Task) => {
  const found = await listLoopErrors(db, id, errorsOnPage + 1)
  const redactor = redactionOf(config).ofParams(params)
  const shown = found.slice(0, errorsOnPage).map((error): LoopError => ({ ...error, sample: redactor.text(error.sample) }))
  return { shown, isAll: found.length <= errorsOnPage }
}

/** The newest output of a run as HTML, and how far it goes, so that the live stream can go on from there. */
export const outputModel = (panel: Pick<Panel, 'config'>, id: number, number: number) => {
  const paths = runtimePaths(panel.config.runtime).run(runName(id, number))
  const piece = readShownOutput(paths.folder, () => redactionOf(panel.config).ofRun(paths.folder), {
    ended: runHasEnded(paths.folder),
    maxBytes: outputOnPage,
  })
  return {
    outputHtml: ansiToHtml(piece.text),
    outputTo: piece.to,
    outputBytes: piece.size,
    outputCut: piece.from > 0,
    outputRotated: piece.rotated,
    levels: outputLevels,
    levelLooks: { own: ownLevelPattern, ...levelPatterns },
  }
}

/** The buttons that make sense in the task's state, and those that destroy something, which stand apart. */
const buttonsOf = (task: Task) => {
  const isLoop = task.execType === 'FOREVER'
  const acts: string[] = []
  const danger: string[] = []
  if (isLoop) {
    if (task.wanted === 'down') acts.push('start')
    else if (task.state === 'backing-off' || task.state === 'tripped') acts.push('run', 'stop')
    else acts.push('stop', 'restart')
    if (task.state === 'stopped' && task.wanted === 'down') danger.push('deletion')
  } else {
    if (task.state === 'waiting') acts.push('run')
    if (wasCancelledWaiting(task)) acts.push('return')
    if (isFinal(task.state)) acts.push('retry')
    if (task.state === 'waiting' || (task.state === 'running' && task.wanted === 'up')) danger.push('cancellation')
    if (isFinal(task.state)) danger.push('deletion')
  }
  return { acts, danger }
}
