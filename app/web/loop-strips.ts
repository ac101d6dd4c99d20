import type { Db } from '../store/database.ts'
import { type Life, listLives } from '../store/list-lives.ts'
import type { Task } from '../task/task.ts'
import { type LifeStrip, lifeStrip } from './life-strip.ts'

const hoursShown = 6
/** One that ended more often than this is drawn as far back as they go. */
const mostLives = 100
export const mostStrips = 30

/** What loops were in the last six hours, for the overview. */
export const loopStrips = async (db: Db, loops: readonly Task[], now = Date.now()): Promise<{ task: Task; strip: LifeStrip }[]> => {
  // By the minute, or an open page would be drawn anew all the time.
  const to = Math.ceil(now / 60_000) * 60_000
  const shown = loops.slice(0, mostStrips)
  const lives = await Promise.all(shown.map(task => livesOf(db, task)))
  const gone = new Set(known.get(db)?.keys())
  for (const { id } of shown) gone.delete(id)
  for (const id of gone) known.get(db)?.delete(id)
  return shown.map((task, index) => ({ task, strip: lifeStrip(task, lives[index]!, to - hoursShown * 3_600_000, to) }))
}

// The page is made anew with each change that somebody looks on at; a loop whose row is as it was has had no other life since.
const known = new WeakMap<Db, Map<number, { as: string; lives: readonly Life[] }>>()

const livesOf = async (db: Db, { id, number, state, updatedAt }: Task): Promise<readonly Life[]> => {
  const ofDb = known.get(db) ?? new Map()
  known.set(db, ofDb)
  const as = `${number} ${state} ${updatedAt}`
  const found = ofDb.get(id)
  if (found?.as === as) return found.lives
  const lives = (await listLives(db, id, mostLives)).reverse()
  ofDb.set(id, { as, lives })
  return lives
}
