import type { Ddl } from './ddl.ts'

export const name = '0009-errors'

/** By which error a task failed, and how many there are that failed by it. */
export const statements = (ddl: Ddl): string[] => [
  ...ddl.more({
    name: 'bg_task',
    columns: { error_key: 'text(32) null' },
    indexes: { bg_task_error: { columns: ['error_key', 'state'], where: 'error_key IS NOT NULL' } },
  }),
  ...ddl.table({
    name: 'bg_error',
    columns: {
      error_key: 'text(32)',
      action: 'text(160)',
      sample: 'medium',
      n: 'bigint',
      first_at: 'bigint',
      last_at: 'bigint',
      last_task: 'bigint',
    },
    primaryKey: ['error_key'],
    indexes: { bg_error_last: { columns: ['last_at'] }, bg_error_action: { columns: ['action', 'last_at'] } },
  }),
]
