import { messageOf } from '../errors.ts'
import { moveSchedule } from '../store/change-schedule.ts'
import { type Db, isAway } from '../store/database.ts'
import { listNextSchedules, listSchedules, nextScheduleAt } from '../store/list-schedules.ts'
import { type Made, makeDue, noteFailedDue } from '../store/make-due.ts'
import { decideDue, soonerDue } from '../task/decide-due.ts'
import type { Schedule } from '../task/schedule.ts'
import type { Log } from './supervisor.ts'

/** Where the database cannot say that nothing changed, and nobody here rang, it is asked this often. */
const askAgainMs = 5_000
/** A wall clock that falls so far behind the monotonic one was set back. */
const setBackMs = 5_000
/** One whose task cannot be made is left alone for so long, so that it holds nobody up. */
const failedPauseMs = 60_000
const atOnce = 50

/** Makes the tasks of schedules that are due. It knows when the first one is, and has a timer for it: nothing here asks again and again. */
export class Schedules {
  readonly #log: Log
  readonly #due: () => void
  /** Monotonic; null: it is not known, ask. */
  #askAfter: number | null = null
  #timer: NodeJS.Timeout | null = null
  /** Wall clock less monotonic clock, when last seen; null: this life has not looked yet. */
  #clockOffset: number | null = null
  /** Until when (monotonic) each schedule is left alone. */
  readonly #failed = new Map<number, number>()

  /** @param due is called when one becomes due: `make` is wanted then */
  constructor(log: Log, due: () => void) {
    this.#log = log
    this.#due = due
  }

  /** Something may have changed, so that the next `make` asks the database. */
  rang(): void {
    this.#askAfter = null
  }

  /** Makes what is due, and sets the timer for what is next. @returns how many tasks it made */
  async make(db: Db): Promise<number> {
    const monotonic = performance.now()
    if (db.dialect !== 'sqlite' && this.#askAfter !== null && monotonic < this.#askAfter) return 0
    this.#askAfter = null
    await this.#heedClock(db)
    let made = 0
    for (let round = 0; round < 20; round++) {
      for (const [id, until] of this.#failed) if (until <= performance.now()) this.#failed.delete(id)
      const next = await nextScheduleAt(db, [...this.#failed.keys()])
      if (next === null || next > Date.now()) {
        this.#wait(next)
        this.#askAfter = monotonic + askAgainMs
        return made
      }
      const due = (await listNextSchedules(db, atOnce + this.#failed.size)).filter(
        schedule => schedule.nextAt! <= Date.now() && !this.#failed.has(schedule.id),
      )
      for (const schedule of due) made += await this.#makeOne(db, schedule)
    }
    // There is more than fits in one go; the tasks that were made come first.
    this.#wait(Date.now())
    return made
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer)
  }

  async #makeOne(db: Db, schedule: Schedule): Promise<number> {
    const now = Date.now()
    try {
      const made = await makeDue(db, schedule, decideDue({ ...schedule, nextAt: schedule.nextAt!, now }), now)
      if (made === null) return 0
      this.#tell(schedule, made)
      return made.tasks.length
    } catch (error) {
      if (isAway(error)) throw error
      const detail = messageOf(error)
      this.#log.warn(`schedule ${schedule.name}: no task could be made: ${detail}; it is tried again in a minute`)
      this.#failed.set(schedule.id, performance.now() + failedPauseMs)
      await noteFailedDue(db, schedule, detail, now)
      return 0
    }
  }

  #tell({ name, action, missed, nextAt }: Schedule, { tasks, note }: Made): void {
    const ids = tasks.map(task => task.id)
    const range = ids.length > 1 ? `tasks ${ids[0]} to ${ids.at(-1)}` : ids.length === 1 ? `task ${ids[0]}` : 'no task'
    if (note?.code === 'overlap') this.#log.info(`schedule ${name}: passed over, since its task ${note.taskId} has not ended`)
    else if (note?.code === 'missed') {
      const from = new Date(note.from).toISOString()
      this.#log.info(
        `schedule ${name}: ${note.more ? 'more than ' : ''}${note.passed} due times since ${from}; by its rule (${missed}) ${range} (${action})`,
      )
    } else this.#log.info(`schedule ${name}: ${range} (${action}), due at ${new Date(nextAt!).toISOString()}`)
  }

  /** A clock that was set back would leave schedules waiting for as long. What was made already is not made again: its rows forbid it. */
  async #heedClock(db: Db): Promise<void> {
    const offset = Date.now() - performance.now()
    const isFine = this.#clockOffset !== null && offset > this.#clockOffset - setBackMs
    if (isFine) {
      this.#clockOffset = offset
      return
    }
    for (let after: string | undefined; ; ) {
      const page = await listSchedules(db, { limit: 500, ...(after === undefined ? {} : { after }) })
      for (const schedule of page) await this.#moveBack(db, schedule)
      if (page.length < 500) break
      after = page.at(-1)!.name
    }
    this.#clockOffset = offset
  }

  async #moveBack(db: Db, schedule: Schedule): Promise<void> {
    if (schedule.nextAt === null) return
    try {
      const sooner = soonerDue(schedule.rule, schedule.nextAt, Date.now())
      if (sooner === null || !(await moveSchedule(db, schedule, sooner))) return
      this.#log.info(`schedule ${schedule.name}: the clock was set back, so it waits for ${new Date(sooner).toISOString()}`)
    } catch (error) {
      if (isAway(error)) throw error
      // A rule that is not understood here is told when it is due.
    }
  }

  #wait(next: number | null): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    const failedUntil = Math.min(...this.#failed.values())
    const waitMs = Math.min(next === null ? Number.POSITIVE_INFINITY : next - Date.now(), failedUntil - performance.now())
    // Further ahead the supervisor's reading every few seconds is near enough, and heeds a clock that was set.
    if (waitMs <= mostWaitMs) this.#timer = setTimeout(() => this.#isDue(), Math.max(5, waitMs))
  }

  #isDue(): void {
    this.rang()
    this.#due()
  }
}

/** What lies further ahead is seen again by then. */
const mostWaitMs = 60_000
