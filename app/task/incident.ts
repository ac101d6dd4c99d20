import type { EndedRun } from './cause.ts'
import type { Channel } from './notify.ts'
import type { Run } from './run.ts'
import type { Task } from './task.ts'

/** What happens to people's work that they should hear of. A task has at most one of a kind at a time. */
export const incidentKinds = ['tripped', 'stalled', 'failed', 'supervisor-gone'] as const
export type IncidentKind = (typeof incidentKinds)[number]

/** A `bg_incident` row. Times are milliseconds since 1970. */
export interface Incident {
  id: number
  kind: IncidentKind
  /** null: of the installation. */
  taskId: number | null
  number: number | null
  action: string | null
  host: string
  openedAt: number
  /** null while it lasts. */
  closedAt: number | null
  /** `recovered`: all is well again. `stopped`: somebody stopped the loop. `passed`: a failure is no state that lasts. */
  closedHow: ClosedHow | null
  /** How often it happened while it lasted. */
  count: number
  lastAt: number
  lastTask: number | null
  facts: IncidentFacts
  /** The last lines of output, without secrets. */
  lines: string | null
}
export type ClosedHow = 'recovered' | 'stopped' | 'passed'

/** What its sentence is made of: the task and its run as they stood then, without params. */
export interface IncidentFacts {
  task?: Task
  lastRun?: (EndedRun & Pick<Run, 'endedAt'>) | null
  /** Of a supervisor. */
  hostname?: string
  pid?: number
  /** Noticed from another host, which knows no more than that: milliseconds since 1970. */
  silentSince?: number
}

/** What is told of an incident. */
export type NoticeEvent = 'opened' | 'closed'

/** A `bg_notice` row: that an incident was opened, or closed, is to be told by a channel. */
export interface Notice {
  id: number
  incidentId: number
  channel: Channel
  event: NoticeEvent
}

/** Incidents of one task and kind, or of one error, share this while they last. */
export const incidentKey = (kind: IncidentKind, of: number | string): string => `${kind} ${of}`

/** Failures by the same error within this time of the first are one incident. */
export const sameFailureMs = 3_600_000
