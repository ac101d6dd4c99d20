import type { Bulk } from '../store/bulk.ts'
import type { Db } from '../store/database.ts'
import { listTaskAudit } from '../store/list-task-audit.ts'
import { listTaskBulks } from '../store/list-task-bulks.ts'
import type { Task } from '../task/task.ts'
import { en } from '../texts/en.ts'
import type { Language } from '../texts/format.ts'
import { auditActs, auditSentence, viaWords } from './audit-sentence.ts'

/** What people and programs did to one task, as its page tells it. */
export interface TaskAudit {
  rows: {
    at: number
    isBad: boolean
    /** Without addresses and details: whoever may see the task may see this. */
    sentence: (language: Language) => string
    /** By which kind of request. */
    via: (language: Language) => string
    /** The task that did it, among others; null: it was done to this one alone. */
    bulk: number | null
  }[]
}

const rowsOnPage = 8

/** Acts whose subject is the id of a task, as their sentence says. With others it is a number of tasks, or a name. */
export const taskActs: readonly string[] = auditActs
  .filter(act => en[`audit.act.${act}` as keyof typeof en].includes('task {subject}'))
  .flatMap(act => [act, `${act}-failed`])

/** Its own acts, and among them those on many that changed it too: of these the audit has one row each, whose subject is the task that does it. */
export const taskAudit = async (db: Db, task: Pick<Task, 'id' | 'createdAt'>): Promise<TaskAudit> => {
  const [own, many] = await Promise.all([listTaskAudit(db, task.id, taskActs, rowsOnPage), listTaskBulks(db, task, rowsOnPage)])
  const rows = [
    ...own.map((row): TaskAudit['rows'][number] => ({
      at: row.at,
      isBad: row.act.endsWith('-failed'),
      sentence: language => auditSentence(language, row),
      via: language => viaWords(language, row.via),
      bulk: null,
    })),
    ...many.flatMap(bulk => (bulk.undone ? [bulk, bulk.undone] : [bulk])).map(ofBulk),
  ]
  return { rows: rows.sort((one, other) => other.at - one.at).slice(0, rowsOnPage) }
}

/** Only the panel has acts on many. */
const asked = 'form'

const ofBulk = ({ id, askedAt, askedBy, act, undoOf }: Bulk): TaskAudit['rows'][number] => ({
  at: askedAt,
  isBad: false,
  sentence: language =>
    auditSentence(language, { act: undoOf === null ? `bulk-${act}` : 'bulk-undo', userName: askedBy, via: asked, subject: String(id) }),
  via: language => viaWords(language, asked),
  bulk: id,
})
