import type { Ddl } from './ddl.ts'

export const name = '0006-residents'

export const statements = (ddl: Ddl): string[] => [
  // Whose tasks are many and short, another action's must not have to be looked through to find them.
  ...ddl.more({
    name: 'bg_task',
    columns: {},
    indexes: { bg_task_due_action: { columns: ['due', 'action', 'priority', 'run_at'], where: 'due IS NOT NULL' } },
  }),
  ...ddl.more({ name: 'bg_run', columns: { resident_task: 'int null' } }),
]
