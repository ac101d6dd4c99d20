import { CompiledQuery } from 'kysely'
import { isDuplicate } from './is-away.ts'
import { heldKey } from './rows.ts'
import type { Executor } from './transact.ts'

/** Tasks that are to live hold their unique keys. @param rows locked @returns ids of those that do now, or have none */
export const takeKeys = async (trx: Executor, rows: readonly { id: number; unique_key: string | null }[]): Promise<number[]> => {
  const keyed = rows.flatMap(({ id, unique_key: key }) => (key === null ? [] : [{ id, held: heldKey(key) }]))
  if (await couldTake(trx, keyed)) return rows.map(({ id }) => id)
  // Somebody holds one of them, or two of ours have the same.
  const left = new Set<number>()
  for (const one of keyed) if (!(await couldTake(trx, [one]))) left.add(one.id)
  return rows.flatMap(({ id }) => (left.has(id) ? [] : [id]))
}

/** All of them or none, by one statement: a round trip for each would be most of what a recovery takes. */
const couldTake = async (trx: Executor, keyed: readonly { id: number; held: Uint8Array }[]): Promise<boolean> => {
  if (keyed.length === 0) return true
  try {
    const sql = `UPDATE bg_task SET held_key = CASE id ${keyed.map(() => 'WHEN ? THEN ?').join(' ')} END WHERE id IN (${keyed.map(() => '?').join(', ')})`
    await trx.executeQuery(CompiledQuery.raw(sql, [...keyed.flatMap(({ id, held }) => [id, held]), ...keyed.map(({ id }) => id)]))
    return true
  } catch (error) {
    if (isDuplicate(error)) return false
    throw error
  }
}
