import type { Db } from '../store/database.ts'
import { type Life, listLivesOf } from '../store/list-lives.ts'
import type { Task } from '../task/task.ts'

/** Lives of a loop that a page of loops knows of at most. */
export const mostLives = 100

/**
 * The newest lives of each of these loops, oldest first. A page is made anew with each change that somebody looks on at, and a loop whose row is as it was
 * has had no other life since: only the others are read, by one statement.
 */
export const knownLives = async (db: Db, loops: readonly Task[]): Promise<(readonly Life[])[]> => {
  const ofDb = known.get(db) ?? new Map<number, Known>()
  known.set(db, ofDb)
  const changed = loops.filter(loop => ofDb.get(loop.id)?.as !== asOf(loop))
  const read = await listLivesOf(
    db,
    changed.map(({ id }) => id),
    mostLives,
  )
  const lives = new Map(changed.map(({ id }) => [id, (read.get(id) ?? []).toReversed()]))
  const answer = loops.map(({ id }) => lives.get(id) ?? ofDb.get(id)?.lives ?? [])
  for (const loop of changed) {
    // Those asked for last are the last to go.
    ofDb.delete(loop.id)
    ofDb.set(loop.id, { as: asOf(loop), lives: lives.get(loop.id)! })
  }
  for (const id of ofDb.keys()) {
    if (ofDb.size <= mostKnown) break
    ofDb.delete(id)
  }
  return answer
}

interface Known {
  as: string
  lives: readonly Life[]
}

const known = new WeakMap<Db, Map<number, Known>>()
const mostKnown = 500

const asOf = ({ number, state, updatedAt }: Task) => `${number} ${state} ${updatedAt}`
