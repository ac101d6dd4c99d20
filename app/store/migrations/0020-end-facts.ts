import type { Ddl } from './ddl.ts'

export const name = '0020-end-facts'

export const statements = (ddl: Ddl): string[] => [...ddl.more({ name: 'bg_run', columns: { end_facts: 'medium null' } })]
