import type { Ddl } from './ddl.ts'

export const name = '0031-resident-starts'

/** With what each resident runner was started: once for the process, and not for each of the thousands of runs that it is handed. */
export const statements = (ddl: Ddl): string[] =>
  ddl.table({
    name: 'bg_resident_start',
    columns: {
      host: 'text(64)',
      boot_id: 'text(64)',
      start_ticks: 'bigint',
      pid: 'bigint',
      seen_at: 'bigint',
      started_with: 'medium',
    },
    primaryKey: ['host', 'boot_id', 'start_ticks', 'pid'],
    indexes: { bg_resident_start_seen: { columns: ['seen_at'] } },
  })
