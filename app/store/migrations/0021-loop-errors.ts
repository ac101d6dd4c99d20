import type { Ddl } from './ddl.ts'

export const name = '0021-loop-errors'

/** By which errors the lives of a loop ended, and its iterations: equal ones in one row. */
export const statements = (ddl: Ddl): string[] =>
  ddl.table({
    name: 'bg_loop_error',
    columns: {
      task_id: 'bigint',
      error_key: 'text(32)',
      sample: 'medium',
      printed: 'flag',
      n: 'bigint',
      first_at: 'bigint',
      last_at: 'bigint',
      last_number: 'bigint',
      last_n: 'bigint',
    },
    primaryKey: ['task_id', 'error_key'],
    indexes: { bg_loop_error_last: { columns: ['task_id', 'last_at'] } },
  })
