import type { Ddl } from './ddl.ts'

export const name = '0008-schedules'

export const statements = (ddl: Ddl): string[] => [
  ...ddl.table({
    name: 'bg_schedule',
    columns: {
      id: 'id',
      name: 'text(64)',
      cron: 'text(200) null',
      time_zone: 'text(64) null',
      every_ms: 'bigint null',
      anchor_at: 'bigint',
      action: 'text(160)',
      params: 'medium',
      options: 'medium',
      missed: 'text(8)',
      overlap: 'text(8)',
      wanted: 'text(4)',
      next_at: 'bigint null',
      last_at: 'bigint null',
      last_task_id: 'bigint null',
      note: 'medium null',
      made_by: 'text(64)',
      made_from: 'text(16)',
      declared: 'text(64) null',
      edited_by: 'text(64) null',
      edited_at: 'bigint null',
      revision: 'bigint default 0',
      created_at: 'bigint',
      updated_at: 'bigint',
    },
    indexes: {
      bg_schedule_name: { columns: ['name'], unique: true },
      bg_schedule_next: { columns: ['next_at'], where: 'next_at IS NOT NULL' },
    },
  }),
  // Its primary key is what makes each due time one task, whoever tries and however often.
  ...ddl.table({
    name: 'bg_schedule_due',
    columns: {
      schedule_id: 'bigint',
      due_at: 'bigint',
      by_hand: 'flag default 0',
      task_id: 'bigint null',
      made_at: 'bigint',
    },
    primaryKey: ['schedule_id', 'due_at', 'by_hand'],
    indexes: {
      bg_schedule_due_task: { columns: ['task_id'], where: 'task_id IS NOT NULL' },
      bg_schedule_due_tasks: { columns: ['schedule_id', 'task_id'], where: 'task_id IS NOT NULL' },
      bg_schedule_due_made: { columns: ['made_at'] },
    },
  }),
]
