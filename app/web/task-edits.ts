import { isEditable } from '../api/edit-task.ts'
import { type ShownChanges, shownChanges } from '../api/shown-changes.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { readTicket } from '../runs/ticket.ts'
import { editsKept } from '../store/edit-task.ts'
import { type EditMark, listEditMarks, listEdits } from '../store/list-edits.ts'
import { type Edit, sameJson, type TaskTerms } from '../task/edit.ts'
import { type Run, runName } from '../task/run.ts'
import type { Task } from '../task/task.ts'
import type { Language } from '../texts/format.ts'
import { viaWords } from './audit-sentence.ts'
import { mayRestart, seenOf } from './edit-task.ts'
import type { Panel } from './panel.ts'

const editsOnPage = 10

export interface TaskEdits {
  mayEdit: boolean
  mayRestart: boolean
  seen: string
  edits: (Pick<Edit, 'n' | 'at' | 'by' | 'effect' | 'revertOf'> & {
    via: (language: Language) => string
    shown: ShownChanges
    /** What would change if it were reverted now; null: nothing would. */
    back: ShownChanges | null
  })[]
  older: number | null
  /** The run under way began with other params or limits than the task has now. */
  isRunOlder: boolean
}

/** What people changed of a task. @param stored with its secrets @param before only what is older than this edit */
export const editsModel = async (
  { config, background }: Pick<Panel, 'config' | 'background'>,
  stored: Task,
  newest: Pick<Run, 'number' | 'endedAt'> | null,
  before: number | null,
): Promise<TaskEdits> => {
  const mayEdit = isEditable(stored)
  const page = { limit: editsOnPage + 1, ...(before === null ? {} : { before }) }
  const found = stored.edits === 0 ? [] : await listEdits(background.db, stored.id, page)
  const onPage = found.slice(0, editsOnPage)
  const marks: readonly EditMark[] = before === null ? onPage : await listEditMarks(background.db, stored.id, editsKept)
  const redactorOf = (...terms: TaskTerms[]) => redactionOf(config).ofParams([stored, ...terms].map(({ params }) => params))
  return {
    mayEdit,
    mayRestart: mayRestart(stored),
    seen: seenOf(stored),
    edits: onPage.map(edit => {
      const { n, at, by, via, effect, revertOf, touched } = edit
      const redactor = redactorOf(edit.before, edit.after)
      // Of what is hidden it cannot be seen whether it is the same, only that nobody has given it anew since.
      const since = marks.filter(later => later.n >= n).flatMap(later => later.touched)
      const back = mayEdit ? shownChanges(stored, edit.before, { redactor, touched: since }) : null
      return {
        ...{ n, at, by, effect, revertOf },
        via: language => viaWords(language, via as Parameters<typeof viaWords>[1]),
        shown: shownChanges(edit.before, edit.after, { redactor, touched }),
        back: back && back.changes.length > 0 ? back : null,
      }
    }),
    older: found.length > onPage.length ? onPage.at(-1)!.n : null,
    isRunOlder: newest !== null && newest.endedAt === null && isOlder(config, stored, newest, marks[0]),
  }
}

// By its number, and where its ticket is at hand by that too: a start that was under way took what was read before the change.
const isOlder = ({ runtime }: Panel['config'], stored: Task, { number }: Pick<Run, 'number'>, last: EditMark | undefined): boolean => {
  if (!last) return false
  if (last.number >= number) return true
  const ticket = readTicket(runtimePaths(runtime).run(runName(stored.id, number)).folder)
  return (
    ticket !== null &&
    (ticket.graceMs !== stored.graceMs || ticket.timeoutMs !== stored.timeoutMs || !sameJson(ticket.params, stored.params))
  )
}
