import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'

/** One range of an index, in the order of ids: a column and what it is, and the state. */
export interface IndexRange {
  index: string
  column: string
  value: unknown
  state: string
}

/**
 * Ids that are in each of these ranges, in the order asked for. Only the indexes are read, in turns: each range goes on from where the others are, so
 * what lies between two that meet is passed over. A row that is looked up for each entry of one of them would be a page of the disk each, once the
 * table is larger than memory.
 * @param slice.cursor ids lie beyond it; null: from the end
 * @param slice.mostRead entries read at most; what lies beyond is not looked at
 */
export const meetIndexes = async (
  db: Db,
  ranges: readonly IndexRange[],
  { cursor, upwards, limit, mostRead }: { cursor: number | null; upwards: boolean; limit: number; mostRead: number },
): Promise<{ ids: number[]; read: number }> => {
  const isBefore = (a: number, b: number) => (upwards ? a < b : a > b)
  // Of each range the entries that were read and not passed yet, the next one first.
  const ahead: number[][] = ranges.map(() => [])
  const atOnce = ranges.map(() => firstAtOnce)
  const ids: number[] = []
  let from = cursor
  let read = 0
  let isFrom = false
  while (ids.length < limit) {
    for (const [at, range] of ranges.entries()) {
      const entries = ahead[at]!
      let passed = 0
      while (passed < entries.length && from !== null && (isBefore(entries[passed]!, from) || (!isFrom && entries[passed] === from)))
        passed++
      entries.splice(0, passed)
      if (entries.length === 0) {
        if (read >= mostRead) return { ids, read }
        const found = await entriesOf(db, range, { from, isFrom, upwards, atOnce: atOnce[at]! })
        if (found.length === 0) return { ids, read }
        read += found.length
        atOnce[at] = Math.min(atOnce[at]! * 4, mostAtOnce)
        ahead[at] = found
      }
      // The others go on from here, this one included.
      const next = ahead[at]![0]!
      if (from === null || isBefore(from, next)) {
        from = next
        isFrom = true
      }
    }
    if (ahead.every(entries => entries[0] === from)) {
      ids.push(from!)
      isFrom = false
    }
  }
  return { ids, read }
}

const firstAtOnce = 200
const mostAtOnce = 5_000

const entriesOf = async (
  db: Db,
  { index, column, value, state }: IndexRange,
  { from, isFrom, upwards, atOnce }: { from: number | null; isFrom: boolean; upwards: boolean; atOnce: number },
): Promise<number[]> => {
  const hint = db.dialect === 'mysql' ? ` FORCE INDEX (${index})` : ''
  const beyond = from === null ? '' : ` AND id ${upwards ? '>' : '<'}${isFrom ? '=' : ''} ?`
  const { rows } = await db.kysely.executeQuery<{ id: number }>(
    CompiledQuery.raw(
      `SELECT id FROM bg_task${hint} WHERE ${column} = ? AND state = ?${beyond} ORDER BY id ${upwards ? 'ASC' : 'DESC'} LIMIT ${atOnce}`,
      [value, state, ...(from === null ? [] : [from])],
    ),
  )
  return rows.map(row => Number(row.id))
}
