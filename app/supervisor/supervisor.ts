import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { ringPanels } from '../runs/doorbell.ts'
import { openRuns } from '../runs/open-runs.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { dataVersion } from '../store/data-version.ts'
import { type Down, leaveHost } from '../store/hosts.ts'
import type { StallKind } from '../task/end-facts.ts'
import { adoptRuns } from './adopt-runs.ts'
import type { Child } from './child.ts'
import { Database } from './database.ts'
import { Incidents } from './incidents.ts'
import { Launcher } from './launcher.ts'
import { LoopSuccesses } from './loop-successes.ts'
import { Loops } from './loops.ts'
import { Onces } from './onces.ts'
import { nextPlanAt, plan, type Situation, type Step } from './plan.ts'
import { readWishes, type Wishes } from './read-wishes.ts'
import { Recorder } from './recorder.ts'
import type { Residents } from './residents.ts'
import { Sampler } from './sampler.ts'
import { Schedules } from './schedules.ts'
import { sweepLeaves } from './sweep-leaves.ts'
import { ThrownErrors } from './thrown-errors.ts'

export interface Log {
  info(sentence: string): void
  warn(sentence: string): void
}

/** What ends within this time is recorded together. */
const recordAfterMs = 15
/** What changes within this time is told to panels together. */
const ringAfterMs = 5
/** A database that says that nobody changed it is read all the same this often: the clock may have been set, and tasks come due. */
const readAnywayMs = 5_000
const readBusyMs = 250
/** Resident runners with so many tasks in hand are busy: then wishes are read by the clock and not at each change. */
const busyTasks = 50

/**
 * Keeps loops up and runs due tasks on one host. It remembers all it needs, so that loops go on while the database is away:
 * `refresh` brings wishes from the database into memory and facts back, `act` compares wish and fact and carries out the
 * plan. Neither waits for the other.
 */
export class Supervisor {
  readonly owner: { host: string; epoch: string }
  readonly database: Database
  readonly #config: Config
  readonly #log: Log
  readonly #open: ReturnType<typeof openRuns>
  readonly #recorder: Recorder
  readonly #launcher: Launcher
  readonly #loops: Loops
  readonly #onces: Onces
  readonly schedules: Schedules
  readonly #sampler: Sampler
  readonly #successes: LoopSuccesses
  readonly #thrown: ThrownErrors
  /** null while no action is resident and none was: then none of its code is loaded. */
  #residents: Residents | null = null
  #down: Down | null = null
  readonly #left = Promise.withResolvers<void>()
  #mode: Situation['mode'] = 'running'
  #knowsWishes = false
  #actScheduled = false
  #planTimer: NodeJS.Timeout | null = null
  #dueTimer: NodeJS.Timeout | null = null
  #refreshing: Promise<void> | null = null
  #refreshAgain = false
  #recordTimer: NodeJS.Timeout | null = null
  #bellTimer: NodeJS.Timeout | null = null
  #readTimer: NodeJS.Timeout | null = null
  #finishing = false
  /** Who asked us to leave, and to reload; null when it was no person. */
  #leftBy: string | null = null
  #reloadBy: string | null = null
  #lastRead: { version: number | null; at: number } = { version: null, at: 0 }

  constructor(config: Config, owner: { host: string; epoch: string }, log: Log) {
    this.owner = owner
    this.#config = config
    this.#log = log
    this.#open = openRuns(config.runtime)
    this.database = new Database(config.databaseUrl, log)
    const incidents = config.notify && new Incidents(config, config.notify, owner.host)
    this.#recorder = new Recorder(owner, incidents, name => this.#open.remove(name))
    this.#launcher = new Launcher(config, owner, this.#open, log, {
      ready: child => {
        // That it runs was written when it was claimed.
        if (child.ticket.execType === 'ONCE') this.#tellPanels()
        this.#loops.ready(child)
        this.#act()
      },
      end: (child, end) => {
        if (child.ticket.execType !== 'FOREVER') return this.#onces.ended(child, end)
        this.#sampler.ended(child, end)
        this.#successes.ended(child.ticket, end)
        this.#loops.ended(child, end)
      },
    })
    this.#loops = new Loops(config, this.#launcher, this.#recorder, incidents, log, () => this.#changed())
    this.#onces = new Onces(owner, this.#launcher, this.#recorder, this.database, log, why =>
      why === 'ended' ? this.#changed() : this.#act(),
    )
    this.#thrown = new ThrownErrors(config, sentence => log.warn(sentence))
    this.#successes = new LoopSuccesses(config, sentence => log.warn(sentence))
    this.#sampler = new Sampler(
      () => this.#loops.children,
      sentence => log.warn(sentence),
      (child, beat) => {
        this.#thrown.note(child, beat)
        this.#successes.note(child.ticket, beat)
      },
    )
    this.schedules = new Schedules(log, () => this.#dueNow())
  }

  /** Takes over what an earlier life left, then begins. */
  async start(): Promise<void> {
    const { residents } = runtimePaths(this.#config.runtime)
    if (existsSync(residents) && readdirSync(residents).length) (await this.#loadResidents()).adopt()
    for (const found of adoptRuns(this.#config, this.owner.host, this.#open, this.#launcher.events)) {
      const forever = found.ticket.execType === 'FOREVER'
      if (found.child) {
        this.#launcher.guard(found.child)
        if (forever) {
          this.#loops.adopt(found.child)
          this.#sampler.adopted(found.child)
        } else this.#onces.adopt(found.child)
      } else if (forever) {
        this.#thrown.foundEnded(found.ticket)
        this.#successes.foundEnded(found.ticket, found.end)
        this.#loops.foundEnded(found.ticket, found.end)
      } else this.#recorder.onceEnded(found.ticket.taskId, found.ticket.number, found.end)
    }
    const live = this.children.map(child => child.ticket)
    void sweepLeaves(this.#config.cgroups, this.owner.host, live, sentence => this.#log.warn(sentence))
    if (this.children.length) this.#log.info(`adopted ${this.children.length} live runs`)
    this.#act()
  }

  get children(): Child[] {
    return [...this.#loops.children, ...this.#onces.children]
  }
  get facts() {
    return {
      running: this.#onces.count + (this.#residents?.held ?? 0),
      loops: this.#loops.children.length,
      unrecorded: this.#recorder.unrecorded + (this.#residents?.unrecorded ?? 0),
      databaseAwaySince: this.database.awaySince,
      ...(this.#residents?.alive ? { residents: this.#residents.infos } : {}),
      phase: this.#mode === 'running' ? ('running' as const) : ('stopping' as const),
    }
  }

  /** Brings facts into the database and wishes out of it. A call while one is under way makes one more follow. */
  async refresh(): Promise<void> {
    if (this.#refreshing) {
      this.#refreshAgain = true
      return this.#refreshing
    }
    this.#refreshing = this.#refreshOnce()
    try {
      await this.#refreshing
    } finally {
      this.#refreshing = null
      this.#act()
    }
    const again = this.#refreshAgain
    this.#refreshAgain = false
    // While it is away the poll asks, once a second; hammering would not bring it back.
    if (again && this.database.awaySince === null) await this.refresh()
  }

  /** Somebody rang: a task has been added on this host, or a wish changed. */
  wake(): void {
    // Those who have a process waiting need not wait for all that is read at a refresh: its statements would come between theirs.
    if (this.#residents) void this.#residents.wake().then(() => this.refreshSoon())
    else this.refreshSoon()
  }

  /** The same for those who cannot wait for it. */
  refreshSoon(): void {
    this.refresh().catch((error: unknown) => this.#log.warn(messageOf(error)))
  }

  /** Looks at adopted runs, which are not our children, and for loops that stalled. */
  look(): void {
    for (const child of this.children) child.look()
    this.#loops.look(performance.now())
    this.#residents?.look()
  }

  /** Keeps what loops did in the minute before this one. */
  async sample(now = Date.now()): Promise<void> {
    this.#sampler.gather(now)
    await this.database.use(async db => {
      await this.#sampler.flush(db, now, [...this.#loops.ids])
      await this.#thrown.flush(db)
      await this.#successes.flush(db, [...this.#loops.ids])
    })
  }

  /** When no supervisor ran on this host, before this one did: runs that were due then say so. */
  learnDown(down: Down): void {
    this.#down = down
    this.#onces.learnDown(down)
    this.#residents?.learnDown(down)
  }

  /** Every running loop is replaced by a fresh process, one after the other. @param by who asked */
  reload(by: string | null): void {
    this.#reloadBy = by
    this.#log.info(`reloading ${this.#loops.reload()} loops, one after the other`)
    const residents = this.#residents?.reload() ?? 0
    if (residents) this.#log.info(`replacing ${residents} resident runners when they have finished what they hold`)
    this.#act()
  }

  /** Stops all that runs, each within its grace; resolves when nothing lives and the facts are recorded, or wait in their folders. @param by who asked */
  leave(why: string, by: string | null): Promise<void> {
    if (this.#mode === 'running') {
      this.#leftBy = by
      this.#log.info(`leaving: ${why}`)
      this.#mode = 'leaving'
      this.#loops.leave()
      this.#onces.leave()
      this.#residents?.leave()
      this.#act()
    }
    return this.#left.promise
  }

  /** Goes at once; what runs goes on, and the next supervisor adopts it. */
  abandon(): void {
    this.#launcher.close()
    this.schedules.close()
    for (const child of this.children) child.letGo()
    this.#residents?.letGo()
    this.#left.resolve()
  }

  /** Not more often than pages look. */
  #tellPanels(): void {
    this.#bellTimer ??= setTimeout(() => {
      this.#bellTimer = null
      ringPanels(this.#config.runtime)
    }, ringAfterMs).unref()
  }

  // Acting comes first: a loop that died is up again before its end is written.
  #changed(): void {
    this.#act()
    this.#recordTimer ??= setTimeout(() => {
      this.#recordTimer = null
      this.refreshSoon()
    }, recordAfterMs)
  }

  async #refreshOnce(): Promise<void> {
    await this.database.use(async db => {
      const trouble = (sentence: string) => this.#log.warn(sentence)
      const hadWork = this.#recorder.hasWork
      const changed = hadWork || (this.#residents?.held ?? 0) > 0
      await this.#recorder.flush(db, trouble)
      await this.#residents?.flush(db)
      if (changed) this.#tellPanels()
      if (this.#residents && this.#residents.held > busyTasks && performance.now() - this.#lastRead.at < readBusyMs) return this.#readSoon()
      const read = { version: await dataVersion(db), at: performance.now() }
      const unchanged = read.version !== null && read.version === this.#lastRead.version
      // What was just recorded may have made tasks due; while enough of them are known that can wait a little.
      const enoughMs = !hadWork ? readAnywayMs : this.#onces.waiting >= this.#config.maxRunning ? readBusyMs : 0
      if (unchanged && read.at - this.#lastRead.at < enoughMs) return
      this.#lastRead = read
      if (this.#mode === 'running') await this.schedules.make(db)
      const claims = this.#residents?.claims ?? 0
      const wishes = await readWishes(db, this.owner.host, {
        slots: this.#mode === 'leaving' ? null : Math.max(0, this.#config.maxRunning - this.#onces.count),
        knownLoops: new Set(this.#knowsWishes ? this.#loops.ids : []),
        now: Date.now(),
        isResident: () => this.#whoIsResident(),
      })
      this.#take(wishes, claims)
      void this.#residents?.wake()
      if (!this.#recorder.hasWork) return
      await this.#recorder.flush(db, trouble)
      this.#tellPanels()
    })
  }

  #readSoon(): void {
    this.#readTimer ??= setTimeout(() => {
      this.#readTimer = null
      this.refreshSoon()
    }, readBusyMs)
  }

  /** Looks at the map of the actions, which costs a look into their folders: only when something is due. */
  async #whoIsResident(): Promise<(action: string) => boolean> {
    const entries = await this.#launcher.entries()
    if (this.#residents === null && !entries.some(entry => entry.resident !== null)) return () => false
    const residents = await this.#loadResidents()
    residents.know(entries)
    return action => residents.takes(action)
  }

  async #loadResidents(): Promise<Residents> {
    const { Residents } = await import('./residents.ts')
    this.#residents ??= new Residents(this.#config, this.owner, this.#launcher, this.#recorder, this.database, this.#log, () =>
      this.#changed(),
    )
    if (this.#down) this.#residents.learnDown(this.#down)
    return this.#residents
  }

  /** @param claims how many claims of resident runners had begun or ended when the rows were read */
  #take(wishes: Wishes, claims: number): void {
    this.#knowsWishes = true
    this.#loops.take(wishes.loops, wishes.lives)
    const residents = this.#residents
    // Rows that were read while a claim was under way may be those that it took.
    const uncertain = residents !== null && (residents.claims !== claims || claims % 2 === 1)
    const running = residents
      ? wishes.running.filter(
          task => !residents.holds(task.id, task.number) && !(uncertain && task.epoch === this.owner.epoch && !this.#onces.has(task.id)),
        )
      : wishes.running
    residents?.take(wishes.running)
    this.#onces.take(wishes.due, running)
    if (this.#dueTimer) clearTimeout(this.#dueTimer)
    const waitMs = wishes.nextDueAt === null ? Number.POSITIVE_INFINITY : wishes.nextDueAt - Date.now()
    // Further ahead the next reading is near enough.
    this.#dueTimer = waitMs < readAnywayMs ? setTimeout(() => this.#dueNow(), Math.max(5, waitMs)) : null
  }

  #dueNow(): void {
    this.#lastRead.version = null
    this.refreshSoon()
  }

  #act(): void {
    if (this.#actScheduled || this.#finishing) return
    this.#actScheduled = true
    setImmediate(() => {
      this.#actScheduled = false
      this.#carryOutPlan()
    })
  }

  #carryOutPlan(): void {
    const now = performance.now()
    const situation: Situation = {
      now,
      mode: this.#mode,
      loops: this.#loops.views(),
      onces: this.#onces.views(),
      due: this.#onces.due(now),
      maxRunning: this.#config.maxRunning,
      maxStarting: 2 * availableParallelism(),
    }
    const steps = plan(situation)
    for (const step of steps) this.#carryOut(step)
    const claims = steps.flatMap(step => (step.do === 'claim' ? [step.task] : []))
    if (claims.length) this.#onces.claim(claims).catch((error: unknown) => this.#log.warn(messageOf(error)))
    if (this.#planTimer) clearTimeout(this.#planTimer)
    const next = nextPlanAt(situation)
    this.#planTimer = next === null || this.#mode === 'leaving' ? null : setTimeout(() => this.#act(), Math.max(1, next - now))
    const isEmpty = this.children.length === 0 && this.#onces.count === 0 && !this.#loops.launching && !this.#residents?.alive
    if (this.#mode === 'leaving' && isEmpty) void this.#finish()
  }

  #carryOut(step: Step): void {
    if (step.do === 'start-loop') void this.#loops.launch(step)
    else if (step.do === 'settle-loop') this.#loops.settle(step.taskId)
    else if (step.do === 'stop') {
      const loop = this.#loops.childOf(step.taskId)
      const child = loop ?? this.#onces.childOf(step.taskId)
      if (!child) return
      this.#log.info(`stopping ${step.taskId}-${step.number} (${child.ticket.action}): ${step.because}`)
      child.requestStop(step.why, { because: step.because, ...this.#askerOf(step) })
      if (loop) this.#loops.stopping(step.taskId, step.because)
    }
  }

  #askerOf({ because, taskId }: Extract<Step, { do: 'stop' }>): { by: string | null; stalled?: StallKind } {
    switch (because) {
      case 'leaving':
        return { by: this.#leftBy }
      case 'reload':
        return { by: this.#reloadBy }
      case 'stalled':
        return { by: null, ...this.#loops.stallOf(taskId) }
      case 'cancel':
        return { by: this.#onces.cancelledBy(taskId) }
      case 'wanted-down':
      case 'fresh-wish':
        return { by: this.#loops.askerOf(taskId) }
      case 'timeout':
        return { by: null }
    }
  }

  async #finish(): Promise<void> {
    if (this.#finishing) return
    this.#finishing = true
    this.schedules.close()
    for (const timer of [this.#planTimer, this.#dueTimer, this.#recordTimer, this.#readTimer]) if (timer) clearTimeout(timer)
    this.#launcher.close()
    this.#residents?.letGo()
    // The first may have been under way when the last run ended.
    for (
      let tries = 0;
      tries < 3 && (tries === 0 || ((this.#recorder.hasWork || this.#residents?.unrecorded) && this.database.awaySince === null));
      tries++
    )
      await this.refresh()
    await this.database.use(db => leaveHost(db, this.owner.host, this.owner.epoch, Date.now()))
    if (this.facts.unrecorded) this.#log.warn(`${this.facts.unrecorded} ends wait in their folders; the next supervisor records them`)
    await this.database.close()
    this.#left.resolve()
  }
}
