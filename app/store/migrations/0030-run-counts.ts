import type { Ddl } from './ddl.ts'

export const name = '0030-run-counts'

/** How runs ended, counted by action and outcome when they do, and when each loop last did what it should: neither can be read off millions of rows. */
export const statements = (ddl: Ddl): string[] => [
  ...ddl.table({
    name: 'bg_run_count',
    columns: { action: 'text(160)', outcome: 'text(16)', slot: 'int', n: 'bigint', last_at: 'bigint' },
    primaryKey: ['action', 'outcome', 'slot'],
  }),
  ...ddl.table({ name: 'bg_loop_success', columns: { task_id: 'bigint', at: 'bigint' }, primaryKey: ['task_id'] }),
]
