import type { Ddl } from './ddl.ts'

export const name = '0007-cron'

export const statements = (ddl: Ddl): string[] => [
  ...ddl.table({
    name: 'bg_queue_item',
    columns: {
      id: 'id',
      queue: 'text(64)',
      data: 'medium',
      created_at: 'bigint',
      free_at: 'bigint null',
      claim: 'text(32) null',
      holder: 'text(16) null',
      failures: 'int default 0',
      failed_at: 'bigint null',
      error: 'medium null',
      aside_at: 'bigint null',
    },
    indexes: {
      bg_queue_item_free: { columns: ['queue', 'free_at'] },
      bg_queue_item_age: { columns: ['queue', 'aside_at', 'created_at'] },
      bg_queue_item_holder: { columns: ['holder'], where: 'holder IS NOT NULL' },
    },
  }),
  ...ddl.table({
    name: 'bg_cron_part',
    columns: {
      kind: 'text(8)',
      name: 'text(64)',
      module: 'text(64)',
      task_id: 'bigint',
      number: 'bigint',
      started_at: 'bigint',
      ended_at: 'bigint null',
      outcome: 'text(12) null',
      error: 'medium null',
      done: 'bigint default 0',
      failed: 'bigint default 0',
      set_aside: 'bigint default 0',
      good_at: 'bigint null',
    },
    primaryKey: ['kind', 'name'],
  }),
  ...ddl.table({
    name: 'bg_cron',
    columns: {
      one: 'int',
      every_ms: 'bigint default 0',
      asked_at: 'bigint default 0',
      key_hash: 'text(64) null',
      key_made_at: 'bigint null',
      key_made_by: 'text(64) null',
      lock_token: 'text(32) null',
      lock_host: 'text(64) null',
      lock_pid: 'bigint null',
      lock_start_ticks: 'bigint null',
      lock_boot_id: 'text(64) null',
      lock_beat: 'bigint default 0',
      lock_task_id: 'bigint null',
      lock_at: 'bigint null',
      open_task_id: 'bigint null',
      open_number: 'bigint null',
    },
    primaryKey: ['one'],
  }),
  ...ddl.rows('bg_cron', 'one', [1]),
]
