import type { Ddl } from './ddl.ts'

export const name = '0013-samples'

/** What loops did in each minute, ten minutes and hour: what their charts are drawn from. */
export const statements = (ddl: Ddl): string[] =>
  ddl.table({
    name: 'bg_sample',
    columns: {
      task_id: 'bigint',
      span_ms: 'int',
      at: 'bigint',
      iterations: 'int',
      errors: 'int',
      durations: 'medium',
      cpu_ms: 'int',
      memory_bytes: 'bigint null',
      output_bytes: 'bigint',
    },
    // What is too old is removed by this key too, loop by loop, so that no second index has to be kept.
    primaryKey: ['task_id', 'span_ms', 'at'],
  })
