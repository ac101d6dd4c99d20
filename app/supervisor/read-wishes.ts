import type { Db } from '../store/database.ts'
import { actionsDue, listDue, listDueOf, nextDueAt, promoteDue } from '../store/list-due.ts'
import { listLoops } from '../store/list-loops.ts'
import { listRunning } from '../store/list-running.ts'
import { recentLives } from '../store/recent-lives.ts'
import { ownSlots } from '../task/own-slots.ts'
import type { Life } from '../task/restart-policy.ts'
import type { Run } from '../task/run.ts'
import type { Task } from '../task/task.ts'

/** What the database wants of this host, at one moment. */
export interface Wishes {
  loops: Task[]
  /** Past lives of the loops that were not known yet, oldest first. */
  lives: Map<number, Life[]>
  /** ONCE tasks that the rows say run here. */
  running: Task[]
  due: Task[]
  nextDueAt: number | null
}

/** Due tasks read beyond the free slots, so that the next ones can begin without another look. */
const spareTasks = 16

/** Lives looked at to rebuild the memory of the restart rule: more than any of its budgets counts. */
const livesPerLoop = 25

export const readWishes = async (
  db: Db,
  host: string,
  {
    slots,
    knownLoops,
    now,
    isResident,
  }: {
    /** null: nothing is begun any more. */
    slots: number | null
    knownLoops: ReadonlySet<number>
    now: number
    /** Asked when something is due: whose tasks are handed to resident runners. */
    isResident: () => Promise<(action: string) => boolean>
  },
): Promise<Wishes> => {
  const loops = (await listLoops(db)).filter(task => task.host === null || task.host === host)
  const unknown = loops.filter(task => !knownLoops.has(task.id)).map(task => task.id)
  const runs = unknown.length ? await recentLives(db, unknown, livesPerLoop) : new Map<number, Run[]>()
  await promoteDue(db, now, 500)
  return {
    loops,
    lives: new Map([...runs].map(([id, lives]) => [id, lives.flatMap(lifeOf)])),
    running: await listRunning(db, host),
    due: slots === null ? [] : await dueNow(db, slots, isResident),
    nextDueAt: await nextDueAt(db),
  }
}

const dueNow = (db: Db, slots: number, isResident: () => Promise<(action: string) => boolean>): Promise<Task[]> =>
  slots > 0 ? dueProcesses(db, slots + spareTasks, isResident) : listDueOf(db, Object.keys(ownSlots), mostOwn)

const mostOwn = Object.values(ownSlots).reduce((sum, slots) => sum + slots)

/** The due tasks that get processes of their own. Those for resident runners may be many, and must not stand in their way. */
const dueProcesses = async (db: Db, limit: number, isResident: () => Promise<(action: string) => boolean>): Promise<Task[]> => {
  const due = await listDue(db, limit)
  if (due.length === 0) return due
  const resident = await isResident()
  if (!due.some(task => resident(task.action))) return due
  const others = (await actionsDue(db)).filter(action => !resident(action))
  return listDueOf(db, others.slice(0, mostActions), limit)
}

/** Actions looked at beside those of resident runners; who comes later in the alphabet waits for these to have less to do. */
const mostActions = 100

const lifeOf = (run: Run): Life[] =>
  run.endedAt === null || run.outcome === null
    ? []
    : [
        {
          startedAt: run.startedAt,
          endedAt: run.endedAt,
          iterations: run.iterations ?? 0,
          outcome: run.outcome,
          exitCode: run.exitCode,
          recycled: run.recycled,
        },
      ]
