import type { SecretConfig } from '../runs/known-secrets.ts'
import type { Db } from '../store/database.ts'
import { countByIndex, sliceTaskIds, type TaskFilter } from '../store/list-tasks.ts'
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

/**
 * How many there are, as far as is counted, and the newest of them.
 * @param about.withinMs where no index tells it, counting ends after about so long: whoever waits for a page does not wait for that
 */
export const countMatching = async (
  config: SecretConfig,
  db: Db,
  filter: TaskFilter,
  { before, withinMs = Number.POSITIVE_INFINITY, examples = 5 }: { before: number; withinMs?: number; examples?: number },
): Promise<{ count: number; isAll: boolean; first: number[] }> => {
  const counted = await countByIndex(db, filter, { before, most: most + 1 })
  if (counted !== null) {
    const { ids } = await sliceTaskIds(db, filter, { before, atOnce: examples })
    return { count: Math.min(counted, most), isAll: counted <= most, first: ids }
  }
  const beganAt = performance.now()
  let count = 0
  const first: number[] = []
  for await (const ids of matchingTasks(config, db, filter, before)) {
    const isLate = count > 0 && performance.now() - beganAt > withinMs
    if (isLate || count + ids.length > most) return { count, isAll: false, first }
    count += ids.length
    first.push(...ids.slice(0, examples - first.length))
  }
  return { count, isAll: true, first }
}

const most = 100_000
