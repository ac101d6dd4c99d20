import type { Db } from '../store/database.ts'
import { listTaskAudit } from '../store/list-task-audit.ts'
import { en } from '../texts/en.ts'
import type { Language } from '../texts/format.ts'
import { auditActs, auditSentence, viaWords } from './audit-sentence.ts'

/** What people and programs did to one task, as its page tells it. */
export interface TaskAudit {
  rows: {
    id: number
    at: number
    isBad: boolean
    /** Without addresses and details: whoever may see the task may see this. */
    sentence: (language: Language) => string
    via: (language: Language) => string
  }[]
}

const rowsOnPage = 8

/** Acts whose subject is the id of a task, as their sentence says. With others it is a number of tasks, or a name. */
export const taskActs: readonly string[] = auditActs
  .filter(act => en[`audit.act.${act}` as keyof typeof en].includes('task {subject}'))
  .flatMap(act => [act, `${act}-failed`])

export const taskAudit = async (db: Db, taskId: number): Promise<TaskAudit> => ({
  rows: (await listTaskAudit(db, taskId, taskActs, rowsOnPage)).map(row => ({
    id: row.id,
    at: row.at,
    isBad: row.act.endsWith('-failed'),
    sentence: language => auditSentence(language, row),
    via: language => viaWords(language, row.via),
  })),
})
