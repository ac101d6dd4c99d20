import type { Ddl } from './ddl.ts'

export const name = '0004-request-keys'

export const statements = (ddl: Ddl): string[] =>
  ddl.table({
    name: 'bg_request_key',
    columns: {
      token_id: 'bigint',
      key_hash: 'text(64)',
      first_line: 'bigint',
      last_line: 'bigint',
      body_hash: 'text(64)',
      status: 'int',
      answer: 'long',
      created_at: 'bigint',
    },
    primaryKey: ['token_id', 'key_hash', 'first_line'],
    indexes: { bg_request_key_at: { columns: ['created_at'] } },
  })
