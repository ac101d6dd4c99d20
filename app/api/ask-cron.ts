import { existsSync } from 'node:fs'
import { hostId } from '../runs/host-id.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { type Cron, giveUpCronKey, noteAsked, noteAskedNow, readCron } from '../store/cron.ts'
import { findTaskByKey } from '../store/find-task.ts'
import { lastSignOf } from '../store/hosts.ts'
import type { Task } from '../task/task.ts'
import type { Background } from './background.ts'
import { type AddedBy, storeTasks, type Together } from './store-tasks.ts'

/** The action that is a cron run, and the key that one task of it holds: while one waits or runs, no other is added. */
export const cronAction = 'core/cron'

/** Who asks for a cron run. */
export interface AskedBy {
  /** As told on the task's page. */
  creator: string
  /** The person who asks, for the audit; without it the application itself does. */
  actor?: AddedBy
}

/** What came of it: the task that waits or runs, and whether it was added just now. */
export interface AskedCron {
  task: Task
  added: boolean
}

type Tools = Pick<Background, 'config' | 'db' | 'catalog'>

/** Asks for a cron run, whenever the last one was. */
export const askCron = async (tools: Tools, by: AskedBy): Promise<AskedCron> => {
  await freeFromVanished(tools)
  const asked = await storeTasks(tools, [wish(by)], options(by))
  await noteAskedNow(tools.db, Date.now())
  return asked[0]!
}

/**
 * Asks for a cron run if it is time: of all who ask at once, in whatever process and on whatever host, one does.
 * @param isTime looks at when one was last asked for and when one last began
 * @returns null when it is not time, or another asked in this very moment
 */
export const askCronIf = async (
  tools: Tools,
  by: AskedBy,
  isTime: (cron: Cron, now: number) => boolean,
): Promise<{ asked: AskedCron | null; cron: Cron }> => {
  const cron = await readCron(tools.db)
  const now = Date.now()
  if (!isTime(cron, now)) return { asked: null, cron }
  await freeFromVanished(tools)
  const together: Together = async (_stored, trx) => {
    if (!(await noteAsked(tools.db, cron, now, trx))) throw new AskedMeanwhile()
  }
  try {
    const [asked] = await storeTasks(tools, [wish(by)], { ...options(by), together })
    return { asked: asked!, cron }
  } catch (error) {
    if (error instanceof AskedMeanwhile) return { asked: null, cron: await readCron(tools.db) }
    throw error
  }
}

/**
 * A host that is gone never says that its cron run has ended, and nobody could ask for one any more. Should it live after all, the lock of cron keeps the
 * two runs apart: so a clock may decide this.
 */
const freeFromVanished = async ({ config, db }: Tools): Promise<void> => {
  const task = await findTaskByKey(db, cronAction)
  if (task?.state !== 'running' || task.host === null) return
  // Where no supervisor ever was there is no name, and a script that asks leaves nothing behind.
  if (existsSync(runtimePaths(config.runtime).hostId) && task.host === hostId(config.runtime)) return
  const seenAt = await lastSignOf(db, task.host)
  if (seenAt === null || Date.now() - seenAt > vanishedMs) await giveUpCronKey(db, task)
}

/** Supervisors give a sign of life every few seconds. */
const vanishedMs = 60_000

class AskedMeanwhile extends Error {}

const wish = ({ creator }: AskedBy) => ({
  action: cronAction,
  params: {},
  options: { unique: cronAction, onConflict: 'keep' as const, creator: creator.slice(0, 64) },
})

const options = ({ actor }: AskedBy) => (actor ? { by: actor.name ?? '', actor: { act: 'cron-asked', ...actor } } : {})
