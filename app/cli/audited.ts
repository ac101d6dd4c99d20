import type { Background } from '../api/background.ts'
import { thisUser } from '../api/this-user.ts'
import { appendAudit } from '../store/audit.ts'

/** Who acts at a command line, as pages and the audit table name it. */
export const actor = (): string => `${thisUser().name} (command line)`

/** Notes an act that was done. */
export const noteAct = async ({ db }: Pick<Background, 'db'>, act: string, subject: string, detail: string | null = null): Promise<void> =>
  void (await appendAudit(db, { at: Date.now(), userName: actor(), ip: null, act, subject, detail }))
