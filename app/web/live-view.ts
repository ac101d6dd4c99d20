import type { Background } from '../api/background.ts'
import type { Config } from '../config.ts'
import { bulkModel } from './bulk.ts'
import { cronModel } from './cron-model.ts'
import { overviewModel } from './overview.ts'
import { taskModel } from './task.ts'
import { parseTaskId } from './task-id.ts'
import { taskListModel } from './task-list.ts'

/** What of a page is kept up to date: regions are views of the same name, each with an element of that id. */
export interface LiveView {
  regions: readonly string[]
  /** Whose output is shown. */
  taskId: number | null
  build(panel: { config: Config; background: Background; root: string }): Promise<LiveModel>
}

export interface LiveModel {
  /** The run whose output is shown. */
  shownNumber?: number
  [more: string]: unknown
}

/**
 * @param page path and query as the browser has them; on a page that is not listed only the bar is kept up to date
 * @param root of the panel
 */
export const createLiveView = (page: string, root: string): LiveView => {
  const [address = '', search = ''] = page.split('?', 2)
  const path = address.slice(root.length)
  const query = Object.fromEntries(new URLSearchParams(search))
  if (path === '') return { regions: ['overview-body'], taskId: null, build: overviewModel }
  if (path === '/core/bgtask') return { regions: ['task-rows'], taskId: null, build: panel => taskListModel(panel, query) }
  if (path === '/config/system/cron') return { regions: ['cron-body'], taskId: null, build: cronModel }
  const bulk = parseTaskId(/^\/core\/bgtask\/bulk\/(\d+)$/.exec(path)?.[1] ?? '')
  if (bulk !== null) return { regions: ['bulk-body'], taskId: null, build: panel => bulkModel(panel, bulk) }
  const id = parseTaskId(/^\/core\/bgtask\/(\d+)$/.exec(path)?.[1] ?? '')
  if (id === null) return { regions: [], taskId: null, build: async () => ({}) }
  return {
    regions: [
      'task-head',
      'task-timeline',
      'loop-charts',
      'loop-errors',
      'task-runs',
      'task-policy',
      'task-edits',
      'task-audit',
      'output-head',
    ],
    taskId: id,
    build: panel => taskModel(panel, id, query),
  }
}
