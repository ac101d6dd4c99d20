import type { Ddl } from './ddl.ts'

export const name = '0003-keys'

/** One more place per unique key, for the task that follows its holder; and how late each run began. */
export const statements = (ddl: Ddl): string[] => [
  ...ddl.more({
    name: 'bg_task',
    columns: { next_key: 'binary16 null', superseded: 'int default 0' },
    indexes: {
      bg_task_next_key: { columns: ['next_key'], unique: true, where: 'next_key IS NOT NULL' },
      bg_task_unique: { columns: ['unique_key', 'state'], where: 'unique_key IS NOT NULL' },
    },
  }),
  ...ddl.more({ name: 'bg_run', columns: { due_at: 'bigint null', down_from: 'bigint null', down_to: 'bigint null' } }),
]
