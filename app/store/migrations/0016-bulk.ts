import type { Ddl } from './ddl.ts'

export const name = '0016-bulk'

/** What was done to all tasks that a filter let through, and to which, so that it can be undone. */
export const statements = (ddl: Ddl): string[] => [
  ...ddl.table({
    name: 'bg_bulk',
    columns: {
      task_id: 'bigint',
      act: 'text(16)',
      filter: 'medium',
      up_to: 'bigint',
      expected: 'bigint',
      is_all: 'flag default 1',
      asked_at: 'bigint',
      asked_by: 'text(64)',
      undo_of: 'bigint null',
      undone_by: 'bigint null',
    },
    primaryKey: ['task_id'],
    indexes: { bg_bulk_asked: { columns: ['asked_at'] } },
  }),
  ...ddl.table({
    name: 'bg_bulk_item',
    columns: { bulk_id: 'bigint', task_id: 'bigint' },
    primaryKey: ['bulk_id', 'task_id'],
  }),
]
