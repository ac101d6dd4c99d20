import type { SecretConfig } from '../runs/known-secrets.ts'
import type { Db } from '../store/database.ts'
import { sliceTaskIds, type TaskFilter } from '../store/list-tasks.ts'
import { listShownTasks } from './list-shown-tasks.ts'

/** All that a list shows by this filter, newest first, a slice of ids at a time. @param before ids are smaller than this */
export async function* matchingTasks(config: SecretConfig, db: Db, filter: TaskFilter, before: number): AsyncGenerator<number[]> {
  if (filter.text) {
    // A text is found only in what is shown of a task, also here: else how many there are would tell what is hidden.
    let after: string | null = String(before)
    while (after !== null) {
      const page = await listShownTasks(config, db, filter, { limit: searchedAtOnce, after })
      yield page.tasks.map(({ id }) => id)
      after = page.older
    }
    return
  }
  let next: number | null = before
  while (next !== null) {
    const slice = await sliceTaskIds(db, filter, { before: next, atOnce: idsAtOnce })
    yield slice.ids
    next = slice.next
  }
}

const idsAtOnce = 2_000
/** Whole rows, with their params and what they said. */
const searchedAtOnce = 200

/** How many there are, as far as is counted, and the newest of them. */
export const countMatching = async (
  config: SecretConfig,
  db: Db,
  filter: TaskFilter,
  { before, examples = 5 }: { before: number; examples?: number },
): Promise<{ count: number; isAll: boolean; first: number[] }> => {
  const most = filter.text ? 5_000 : 100_000
  let count = 0
  const first: number[] = []
  for await (const ids of matchingTasks(config, db, filter, before)) {
    count += ids.length
    first.push(...ids.slice(0, examples - first.length))
    if (count > most) return { count: most, isAll: false, first }
  }
  return { count, isAll: true, first }
}
