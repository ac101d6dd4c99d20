import type { Insertable, Selectable } from 'kysely'
import type { DueRule, MadeFrom, MissedRule, OverlapRule, Schedule, ScheduledOptions, ScheduleNote } from '../task/schedule.ts'
import type { Json, Wanted } from '../task/task.ts'
import type { ScheduleRow } from './tables.ts'

/** What a person or a program says of a schedule, checked and filled in. */
export interface ScheduleWish {
  rule: DueRule
  action: string
  params: Json
  options: ScheduledOptions
  missed: MissedRule
  overlap: OverlapRule
}

export const toSchedule = (row: Selectable<ScheduleRow>): Schedule => ({
  id: Number(row.id),
  name: row.name,
  rule:
    row.cron === null
      ? { everyMs: Number(row.every_ms), anchorAt: Number(row.anchor_at) }
      : { cron: row.cron, timeZone: row.time_zone ?? 'UTC' },
  action: row.action,
  params: JSON.parse(row.params) as Json,
  options: JSON.parse(row.options) as ScheduledOptions,
  missed: row.missed as MissedRule,
  overlap: row.overlap as OverlapRule,
  wanted: row.wanted as Wanted,
  nextAt: row.next_at === null ? null : Number(row.next_at),
  lastAt: row.last_at === null ? null : Number(row.last_at),
  lastTaskId: row.last_task_id === null ? null : Number(row.last_task_id),
  note: row.note === null ? null : (JSON.parse(row.note) as ScheduleNote),
  madeBy: row.made_by,
  madeFrom: row.made_from as MadeFrom,
  declared: row.declared,
  editedBy: row.edited_by,
  editedAt: row.edited_at === null ? null : Number(row.edited_at),
  revision: Number(row.revision),
  createdAt: Number(row.created_at),
  updatedAt: Number(row.updated_at),
})

export const fromWish = ({ rule, action, params, options, missed, overlap }: ScheduleWish, now: number) =>
  ({
    cron: 'cron' in rule ? rule.cron : null,
    time_zone: 'cron' in rule ? rule.timeZone : null,
    every_ms: 'cron' in rule ? null : rule.everyMs,
    anchor_at: 'cron' in rule ? now : rule.anchorAt,
    action,
    params: JSON.stringify(params),
    options: JSON.stringify(options),
    missed,
    overlap,
    updated_at: now,
  }) satisfies Partial<Insertable<ScheduleRow>>

export const fromNote = (note: ScheduleNote | null): string | null => (note === null ? null : JSON.stringify(note))
