import { openDatabase } from '../../app/store/database.ts'
import { findSchedule } from '../../app/store/find-schedule.ts'
import { makeDue } from '../../app/store/make-due.ts'
import { decideDue } from '../../app/task/decide-due.ts'

// One of several supervisors with one schedule: its clock goes on by itself, a second a step, and it makes what is due. Tells each step.

const [url, name, from, steps] = process.argv.slice(2) as [string, string, string, string]
const db = await openDatabase(url)
let made = 0
for (let step = 1; step <= Number(steps); step++) {
  const now = Number(from) + step * 1_000
  const schedule = (await findSchedule(db, { name }))!
  if (schedule.nextAt !== null && schedule.nextAt <= now)
    made += (await makeDue(db, schedule, decideDue({ ...schedule, nextAt: schedule.nextAt, now }), now))?.tasks.length ?? 0
  process.stdout.write(`${made}\n`)
}
await db.close()
