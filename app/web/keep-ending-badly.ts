import type { Db } from '../store/database.ts'
import { type BadEnds, badEndsOf, maybeEndingBadly } from '../task/bad-ends.ts'
import type { Task } from '../task/task.ts'
import { knownLives } from './known-lives.ts'

/** Those of these tasks that are loops, are up, and have ended badly again and again. @returns by the id of the task */
export const keepEndingBadly = async (db: Db, tasks: readonly Task[], now = Date.now()): Promise<ReadonlyMap<number, BadEnds>> => {
  const maybe = maybeEndingBadly(tasks, now)
  const lives = await knownLives(db, maybe)
  const found = maybe.map(({ id }, index) => [id, badEndsOf(lives[index]!, now)] as const)
  return new Map(found.filter((one): one is [number, BadEnds] => one[1] !== null))
}
