import type { Ddl } from './ddl.ts'

export const name = '0002-artifacts'

export const statements = (ddl: Ddl): string[] =>
  ddl.table({
    name: 'bg_artifact',
    columns: {
      task_id: 'bigint',
      number: 'bigint',
      n: 'int',
      name: 'text(200)',
      path: 'medium',
      size_bytes: 'bigint',
      declared_at: 'bigint',
      device: 'text(24)',
      inode: 'text(24)',
      born_ns: 'text(24)',
      run_user: 'medium null',
    },
    primaryKey: ['task_id', 'number', 'n'],
  })
