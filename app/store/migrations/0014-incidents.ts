import type { Ddl } from './ddl.ts'

export const name = '0014-incidents'

export const statements = (ddl: Ddl): string[] => [
  ...ddl.table({
    name: 'bg_incident',
    columns: {
      id: 'id',
      open_key: 'text(120) null',
      kind: 'text(24)',
      task_id: 'bigint null',
      number: 'bigint null',
      action: 'text(160) null',
      host: 'text(64)',
      opened_at: 'bigint',
      closed_at: 'bigint null',
      closed_how: 'text(16) null',
      n: 'bigint default 1',
      last_at: 'bigint',
      last_task: 'bigint null',
      facts: 'medium',
      last_lines: 'medium null',
    },
    indexes: {
      // Makes it one as long as it lasts, whoever notices it and how often.
      bg_incident_open: { columns: ['open_key'], unique: true, where: 'open_key IS NOT NULL' },
      bg_incident_opened: { columns: ['opened_at'] },
    },
  }),
  ...ddl.table({
    name: 'bg_notice',
    columns: {
      id: 'id',
      incident_id: 'bigint',
      channel: 'text(16)',
      event: 'text(8)',
      pending: 'flag null',
      tell_at: 'bigint',
      delivery: 'text(40) null',
      claim: 'text(80) null',
      claimed_at: 'bigint null',
      told_at: 'bigint null',
    },
    indexes: {
      bg_notice_incident: { columns: ['incident_id', 'channel', 'event'], unique: true },
      bg_notice_pending: { columns: ['pending', 'channel', 'tell_at'], where: 'pending IS NOT NULL' },
    },
  }),
]
