import type { OutcomeKind } from '../../task/outcome.ts'
import type { Db } from '../database.ts'
import { errorOf, noteFailed } from '../errors.ts'
import { forUpdate } from '../for-update.ts'
import { fromIndex } from '../from-index.ts'
import type { Executor } from '../transact.ts'

export const name = '0012-earlier-failures'

export const statements = (): string[] => []

const tasksAtOnce = 200

/** Tasks that failed before 0009 are counted by their errors too; else no list of what failed would have them. */
export const fill = async (db: Db, trx: Executor, after: number): Promise<number | null> => {
  const tasks = await forUpdate(
    db,
    trx
      .selectFrom(fromIndex(db, 'bg_task_state'))
      .select(['id', 'number', 'action', 'content', 'error_key', 'finished_at', 'updated_at'])
      .where('state', '=', 'failed')
      .where('id', '>', after)
      .orderBy('id')
      .limit(tasksAtOnce),
  ).execute()
  const last = tasks.at(-1)
  if (!last) return null
  const nameless = tasks.filter(task => task.error_key === null)
  const runs = await lastRuns(trx, nameless)
  const failed = nameless.map(task => {
    const run = runs.get(Number(task.id))
    const outcome = {
      kind: (run?.outcome ?? 'failed') as OutcomeKind,
      content: run ? run.content : task.content,
      error: run?.error ?? null,
      exitCode: run?.exit_code ?? null,
      signal: run?.signal ?? null,
    }
    return { ...errorOf(task.action, outcome), taskId: Number(task.id), at: Number(task.finished_at ?? task.updated_at) }
  })
  for (const [key, same] of Map.groupBy(failed, one => one.key))
    await trx
      .updateTable(fromIndex(db, 'PRIMARY'))
      .set({ error_key: key })
      .where(
        'id',
        'in',
        same.map(({ taskId }) => taskId),
      )
      .execute()
  await noteFailed(db, trx, failed)
  return Number(last.id)
}

const lastRuns = async (trx: Executor, tasks: readonly { id: number; number: number }[]) => {
  if (tasks.length === 0) return new Map<number, never>()
  const runs = await trx
    .selectFrom('bg_run')
    .select(['task_id', 'outcome', 'content', 'error', 'exit_code', 'signal'])
    .where(({ eb, refTuple, tuple }) =>
      eb(
        refTuple('task_id', 'number'),
        'in',
        tasks.map(({ id, number }) => tuple(id, number)),
      ),
    )
    .execute()
  return new Map(runs.map(run => [Number(run.task_id), run]))
}
