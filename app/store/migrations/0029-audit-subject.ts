import type { Ddl } from './ddl.ts'

export const name = '0029-audit-subject'

/** What was done to one task, newest first: a subject alone may be a task's id in a few rows, and a mere number in millions. */
export const statements = (ddl: Ddl): string[] =>
  ddl.more({ name: 'bg_audit', columns: {}, indexes: { bg_audit_subject_act: { columns: ['subject', 'act', 'id'] } } })
