import type { Db } from '../store/database.ts'
import type { Life } from '../store/list-lives.ts'
import type { Task } from '../task/task.ts'
import { knownLives } from './known-lives.ts'
import { type LifeStrip, lifeStrip } from './life-strip.ts'

const hoursShown = 6
export const mostStrips = 30

/** What loops were in the last six hours, for the overview. */
export const loopStrips = async (db: Db, loops: readonly Task[], now = Date.now()): Promise<{ task: Task; strip: LifeStrip }[]> => {
  const shown = loops.slice(0, mostStrips)
  const lives = await knownLives(db, shown)
  return shown.map((task, index) => ({ task, strip: stripOf(task, lives[index]!, now) }))
}

/** @param lives oldest first; one that ended more often than is known is drawn as far back as they go */
export const stripOf = (task: Pick<Task, 'wanted'>, lives: readonly Life[], now: number): LifeStrip => {
  // By the minute, or an open page would be drawn anew all the time.
  const to = Math.ceil(now / 60_000) * 60_000
  return lifeStrip(task, lives, to - hoursShown * 3_600_000, to)
}
