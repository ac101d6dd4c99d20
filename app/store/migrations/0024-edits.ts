import type { Ddl } from './ddl.ts'

export const name = '0024-edits'

/** What people changed of tasks, and how often each was changed. */
export const statements = (ddl: Ddl): string[] => [
  ...ddl.table({
    name: 'bg_edit',
    columns: {
      task_id: 'bigint',
      n: 'int',
      at: 'bigint',
      user_name: 'text(64) null',
      via: 'text(16)',
      effect: 'text(8)',
      number: 'bigint',
      revert_of: 'int null',
      before_terms: 'medium',
      after_terms: 'medium',
      touched: 'medium',
    },
    primaryKey: ['task_id', 'n'],
  }),
  ...ddl.more({ name: 'bg_task', columns: { edits: 'int default 0' }, indexes: {} }),
]
