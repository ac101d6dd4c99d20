import type { Ddl } from './ddl.ts'

export const name = '0026-start-facts'

export const statements = (ddl: Ddl): string[] => [...ddl.more({ name: 'bg_run', columns: { start_facts: 'medium null' } })]
