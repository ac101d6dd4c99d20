import { artifactsOfRun } from '../api/artifacts-of-run.ts'
import { exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import type { RunArtifact } from '../store/artifacts.ts'
import { listRuns } from '../store/list-runs.ts'
import { explainEnd, explainLateness } from '../task/explain.ts'
import type { Run } from '../task/run.ts'
import type { Task } from '../task/task.ts'
import { harmless, oneLine } from '../texts/control-characters.ts'
import { formatBytes } from '../texts/format.ts'
import { translate } from '../texts/translate.ts'
import { keepEndingBadly } from '../web/keep-ending-badly.ts'
import { createExplainer, type Explained } from './explained.ts'
import { withBackground } from './open.ts'
import { duration, formatTime, formatTimeOrDash, print, printJson } from './print.ts'
import { formatTable } from './table.ts'
import { taskNamed } from './task-named.ts'

const shownRuns = 10

export const runShow = async (given: string | undefined, { json, unique }: { json?: boolean; unique?: string }): Promise<number> =>
  withBackground(async background => {
    const task = await taskNamed(background, given, unique)
    const redaction = redactionOf(background.config)
    const runs = (await listRuns(background.db, task.id, { limit: shownRuns })).map(run => redaction.run(run, task))
    const badEnds = (await keepEndingBadly(background.db, [task])).get(task.id) ?? null
    const explained = createExplainer(background.config)(task, runs.find(run => run.endedAt !== null) ?? null, badEnds)
    const shown = redaction.task(task)
    const files = runs[0] ? await artifactsOfRun(background.config, background.db, runs[0]) : []
    const artifacts = files.map(({ n, name, path, sizeBytes }) => ({ n, name, path, sizeBytes }))
    if (json) printJson({ ...shown, ...explained, runs, artifacts })
    else
      print(
        [
          head(shown, explained),
          ...(files.length > 0 ? ['', fileTable(artifacts)] : []),
          ...(runs.length > 0 ? ['', runTable(shown, runs), ...lateness(runs), ...newestError(runs)] : ['', 'It has not run yet.']),
        ].join('\n'),
      )
    return exitCodes.done
  })

const head = (task: Task, { state, why, end, next }: Explained) => {
  const lines: [string, string | null][] = [
    ['task', `${task.id} (${task.uid})`],
    ['action', task.action],
    ['params', JSON.stringify(task.params)],
    ['state', `${state}${task.execType === 'FOREVER' ? `, wanted ${task.wanted}` : ''}`],
    ['', why],
    ['', end],
    ['', next],
    ['content', task.content],
    ['exec type', task.execType],
    ['type', task.type || null],
    ['creator', task.creator || null],
    ['unique', task.uniqueKey],
    ['calls', task.superseded === 0 ? null : `${task.superseded} earlier overwritten (keepLast)`],
    ['priority', task.priority === 0 ? null : String(task.priority)],
    ['tries', task.execType === 'ONCE' ? `${task.attempt} failed of ${task.maxAttempts}` : null],
    ['timeout', task.timeoutMs === null ? null : duration(task.timeoutMs)],
    ['grace', duration(task.graceMs)],
    ['created', formatTime(task.createdAt)],
    ['due', task.state === 'waiting' ? formatTime(task.runAt) : null],
    ['started', task.startedAt === null ? null : formatTime(task.startedAt)],
    ['finished', task.finishedAt === null ? null : formatTime(task.finishedAt)],
  ]
  return lines.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(10)}${oneLine(value)}`])).join('\n')
}

/** What became of a run that did not end by itself. */
const replacedBy = (task: Task, run: Run): string | null => {
  const end = explainEnd(run, task)
  return end.key === 'end.replaced' ? translate('en', end.key, end.values) : null
}

const lateness = (runs: Run[]) => {
  const late = runs[0] ? explainLateness(runs[0]) : null
  return late ? ['', translate('en', late.key, late.values)] : []
}

const runTable = (task: Task, runs: Run[]) =>
  formatTable(
    [
      { title: 'run', value: (run: Run) => String(run.number), right: true },
      { title: 'outcome', value: (run: Run) => run.outcome ?? 'running' },
      { title: 'code', value: (run: Run) => run.signal ?? (run.exitCode === null ? '-' : String(run.exitCode)), right: true },
      { title: 'started', value: (run: Run) => formatTime(run.startedAt) },
      { title: 'took', value: (run: Run) => duration((run.endedAt ?? Date.now()) - run.startedAt), right: true },
      { title: 'ended', value: (run: Run) => formatTimeOrDash(run.endedAt) },
      { title: 'memory', value: (run: Run) => (run.peakMemoryBytes === null ? '-' : formatBytes('en', run.peakMemoryBytes)), right: true },
      { title: 'content', value: (run: Run) => replacedBy(task, run) ?? run.content ?? '', flexible: true },
    ],
    runs,
  )

const fileTable = (files: Pick<RunArtifact, 'name' | 'path' | 'sizeBytes'>[]) =>
  formatTable(
    [
      { title: 'file', value: file => file.name, flexible: true },
      { title: 'size', value: file => formatBytes('en', file.sizeBytes), right: true },
      { title: 'lies at', value: file => file.path },
    ],
    files,
  )

const newestError = (runs: Run[]) => {
  const error = runs[0]?.error
  return error ? ['', harmless(error)] : []
}
