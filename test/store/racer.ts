import { BgtaskError } from '../../app/errors.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { openDatabase } from '../../app/store/database.ts'
import { endOnceMany } from '../../app/store/end-once.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { listDue } from '../../app/store/list-due.ts'
import { migrate } from '../../app/store/migrate.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import { runEnd } from '../helpers/run-end.ts'
import { newTask } from './new-task.ts'

// One of several processes that do the same to one database at once; prints what it did as JSON.

const [url, what, name, count] = process.argv.slice(2) as [string, string, string, string]
const db = await openDatabase(url)
const owner = { host: name, epoch: name }

const acts: Record<string, () => Promise<unknown>> = {
  migrate: () => migrate(db),

  /** Claims until nothing is due. */
  claim: async () => {
    const claimed: number[] = []
    for (;;) {
      const due = await listDue(db, 20)
      if (due.length === 0) return claimed
      for (const task of due) if (await claimTask(db, task, owner, Date.now())) claimed.push(task.id)
    }
  },

  /** Adds tasks with one unique key, in each of the three ways. */
  add: async () => {
    let [added, conflicts] = [0, 0]
    for (let n = 0; n < Number(count); n++) {
      const onConflict = (['replace', 'keep', 'reject', 'replace'] as const)[n % 4]!
      try {
        const [answer] = await insertTasks(db, [newTask({ uniqueKey: 'the key', onConflict, runAt: 0 })])
        if (answer!.added) added++
      } catch (error) {
        if (!(error instanceof BgtaskError && error.code === 'conflict')) throw error
        conflicts++
      }
    }
    return { added, conflicts }
  },

  /** Runs what is due, all at once, until told to end; counts how many with the key ran at the same time. */
  supervise: async () => {
    let [ended, atOnce, idle] = [0, 0, 0]
    while (idle < 30) {
      const claimed = []
      for (const task of await listDue(db, 20)) {
        const mine = await claimTask(db, task, owner, Date.now())
        if (mine) claimed.push(mine)
      }
      atOnce = Math.max(atOnce, claimed.length)
      await endOnceMany(
        db,
        claimed.map((task, index) => {
          const outcome = runEnd((ended + index) % 3 === 0 ? 'interrupted' : 'succeeded', Date.now())
          return { taskId: task.id, number: task.number, end: outcome, decide: now => afterOnce(now, outcome, Date.now(), 0) }
        }),
      )
      ended += claimed.length
      idle = claimed.length === 0 ? idle + 1 : 0
      if (idle) await new Promise(resolve => setTimeout(resolve, 10))
    }
    return { ended, atOnce }
  },
}

console.log(JSON.stringify(await acts[what]!()))
await db.close()
