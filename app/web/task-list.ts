import type { FastifyInstance } from 'fastify'
import { listShownTasks } from '../api/list-shown-tasks.ts'
import { redactionOf } from '../runs/redaction.ts'
import { listArtifactsOf } from '../store/artifacts.ts'
import { findError } from '../store/errors.ts'
import { findSchedule } from '../store/find-schedule.ts'
import { lastEndedOf } from '../store/list-runs.ts'
import { mostRead } from '../store/list-tasks.ts'
import type { FailedFilter } from '../store/recover.ts'
import { loopStates, type Task } from '../task/task.ts'
import { bulkLinks } from './bulk.ts'
import { createExplainer } from './explained.ts'
import { recoveryAddress } from './failed.ts'
import { fieldsOf } from './fields.ts'
import { findNamed } from './find-named.ts'
import { keepEndingBadly } from './keep-ending-badly.ts'
import { loopRows } from './loop-rows.ts'
import { beatOf } from './overview.ts'
import type { Panel } from './panel.ts'
import { type ChosenTasks, chosenFields, readTaskFilter, taskStates } from './task-filter.ts'

const pageSize = 50
/** Newest files of a task in its row; its page has all. */
const filesInRow = 2
const runs = new Set<string>(['running', 'stalled', 'stopping'])

export const registerTaskList = (app: FastifyInstance, panel: Panel) => {
  app.get('/core/bgtask', async (request, reply) => {
    const named = await findNamed(panel, (fieldsOf(request.query).text ?? '').trim())
    if (named) return reply.redirect(`${panel.root}/core/bgtask/${named.id}`, 302)
    const model = await taskListModel(panel, request.query)
    return reply.page('task-list', model, model.unknown === null ? 200 : 422)
  })
}

/** @param query what the address says: state, exec_type, type, action, creator, unique, text, schedule, and after or before for the page */
export const taskListModel = async (panel: Pick<Panel, 'config' | 'background' | 'root'>, query: unknown) => {
  const given = fieldsOf(query)
  const { chosen, filter, unknown } = readTaskFilter(query)
  const cursor = (name: 'after' | 'before') => (given[name] && /^[\w-]{1,40}$/.test(given[name]) ? { [name]: given[name] } : {})
  const page =
    unknown === null
      ? await listShownTasks(panel.config, panel.background.db, filter, { limit: pageSize, ...cursor('after'), ...cursor('before') })
      : { tasks: [], newer: null, older: null }
  const explained = createExplainer(panel)
  const isLoops = chosen.exec_type === 'FOREVER'
  const loops = isLoops ? await loopRows(panel, page.tasks) : []
  const bad = await keepEndingBadly(panel.background.db, page.tasks)
  const lastRuns = await lastEndedOf(panel.background.db, page.tasks.filter(mayTellEnd))
  const ended = page.tasks.filter(task => task.state === 'succeeded').map(task => ({ taskId: task.id, number: task.number }))
  const files = await listArtifactsOf(panel.background.db, ended, filesInRow)
  const set = chosenFields(chosen)
  // Who looks at loops is in the list of loops, which is no filter to be cleared.
  const list: [string, string][] = isLoops ? [['exec_type', 'FOREVER']] : []
  const address = (more: Record<string, string>) => {
    const text = new URLSearchParams([...set, ...Object.entries(more)]).toString()
    return `${panel.root}/core/bgtask${text === '' ? '' : `?${text}`}`
  }
  return {
    states: isLoops && (chosen.state === '' || loopStates.some(state => state === chosen.state)) ? loopStates : taskStates,
    chosen,
    /** Whose tasks alone are shown; a schedule that was removed has no name any more. */
    schedule: chosen.schedule
      ? ((await findSchedule(panel.background.db, { id: Number(chosen.schedule) }))?.name ?? `#${chosen.schedule}`)
      : null,
    filtered: set.length > list.length || unknown !== null,
    cleared: `${panel.root}/core/bgtask${isLoops ? `?${new URLSearchParams(list)}` : ''}`,
    unknown,
    /** Loops alone have columns of their own. */
    isLoops,
    tasks: page.tasks.map((task, index) => ({
      ...explained(task, { lastRun: lastRuns.get(task.id), badEnds: bad.get(task.id) }),
      loop: loops[index] ?? null,
      beat: runs.has(task.state) ? beatOf(panel, task) : null,
      files: files.get(task.id) ?? [],
    })),
    error: chosen.error ? await errorShown(panel, chosen.error) : null,
    // Only where what is done to all of them is told by the same filter: whatever else was chosen, it would reach further than the page.
    recovery: isRecoverable(
      chosen.state,
      set.map(([name]) => name),
    )
      ? (act: string) => recoveryAddress(panel, act, failedFilterOf(chosen))
      : null,
    /** So far back a text, or a second condition, is looked for; null: all tasks are. */
    searched: chosen.text !== '' || isNarrowed(chosen) ? mostRead : null,
    bulk: unknown === null ? bulkLinks(panel, chosen, filter) : [],
    newer: page.newer === null ? null : address({ before: page.newer }),
    older: page.older === null ? null : address({ after: page.older }),
    actions: (await panel.background.catalog()).entries.map(entry => entry.name),
  }
}

/** Of loops that are down, or were a short time ago, how they ended is part of the reason; the others are not read. */
const mayTellEnd = ({ execType, state, startedAt }: Task) =>
  execType === 'FOREVER' &&
  (state === 'backing-off' || state === 'tripped' || (state !== 'stopped' && startedAt !== null && Date.now() - startedAt < recentMs))
const recentMs = 1_200_000

/** More than one of those by which tasks are indexed. */
const isNarrowed = ({ type, action, creator, unique, error }: ChosenTasks) =>
  [type, action, creator, unique, error].filter(value => value !== '').length > 1

const isRecoverable = (state: string, filters: readonly string[]) =>
  state === 'failed' && filters.every(name => ['state', 'action', 'type', 'creator', 'error'].includes(name))

/** The filter of the page as what works on all failed tasks takes it. */
const failedFilterOf = ({ action, type, creator, error }: Record<'action' | 'type' | 'creator' | 'error', string>): FailedFilter =>
  Object.fromEntries(Object.entries({ action, type, creator, error }).filter(([, value]) => value !== ''))

const errorShown = async ({ config, background }: Pick<Panel, 'config' | 'background'>, key: string) => {
  const error = await findError(background.db, key)
  return error && redactionOf(config).text(error.sample)
}
