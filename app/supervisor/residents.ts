import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ActionEntry } from '../catalog/action-entry.ts'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { findMarked } from '../runs/process-identity.ts'
import { readResidentTicket } from '../runs/resident-files.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { startedWith } from '../runs/started-with.ts'
import type { ResidentInfo } from '../runs/supervisor-file.ts'
import { type ClaimedTask, claimOfAction } from '../store/claim-of-action.ts'
import type { Db } from '../store/database.ts'
import type { Down } from '../store/hosts.ts'
import { actionsDue } from '../store/list-due.ts'
import { noteAdopted } from '../store/note-adopted.ts'
import { noteResidentStart } from '../store/resident-starts.ts'
import { runName } from '../task/run.ts'
import type { Json, Task } from '../task/task.ts'
import { completeEnd } from './complete-end.ts'
import type { Database } from './database.ts'
import type { Launcher } from './launcher.ts'
import { PlainEnds } from './plain-ends.ts'
import { planResidents, type ResidentStep } from './plan-residents.ts'
import type { Recorder } from './recorder.ts'
import { type HeldRun, Resident, type ResidentEvents } from './resident.ts'
import { identityOfResident } from './resident-process.ts'
import type { Log } from './supervisor.ts'
import { tellCrash } from './tell-crash.ts'
import { neverStarted } from './ticket-facts.ts'

/** After a process that did not come up its tasks have processes of their own for so long, whose outcomes say why. */
const restMs = 30_000
/** Folders of residents that have ended, kept for who wants to read their output. */
const keptFolders = 5
/** What ends within this time is recorded together, when there is nothing to be handed out meanwhile. */
const recordAfterMs = 10
/** Days are what rows are kept for. */
const noteAgainMs = 86_400_000
/** Told in one commit. */
const adoptedAtOnce = 500

interface KnownAction {
  entry: ActionEntry
  /** Tasks of it may be due. */
  due: boolean
  /** Monotonic. */
  restUntil: number
}

/** The resident runners of this host, and the tasks that they are handed. Loaded when there is the first of them. */
export class Residents {
  readonly #config: Config
  readonly #owner: { host: string; epoch: string }
  readonly #launcher: Launcher
  readonly #recorder: Recorder
  readonly #database: Database
  readonly #log: Log
  readonly #changed: () => void
  readonly #folder: string
  readonly #actions = new Map<string, KnownAction>()
  readonly #residents = new Map<string, Resident>()
  readonly #plain: PlainEnds
  readonly #events: ResidentEvents
  #starting = 0
  #knows = false
  #mode: 'running' | 'leaving' = 'running'
  #working: Promise<void> | null = null
  #workAgain = false
  #workTimer: NodeJS.Timeout | null = null
  #deadlineTimer: NodeJS.Timeout | null = null
  /** Grows with each claim, so that who read the rows before it knows. */
  #claims = 0
  #down: Down | null = null
  /** Runs that were taken over alive, of which the rows do not say so yet. */
  #adopted: { taskId: number; number: number }[] = []

  constructor(
    config: Config,
    owner: { host: string; epoch: string },
    launcher: Launcher,
    recorder: Recorder,
    database: Database,
    log: Log,
    changed: () => void,
  ) {
    this.#config = config
    this.#owner = owner
    this.#launcher = launcher
    this.#recorder = recorder
    this.#database = database
    this.#log = log
    this.#changed = changed
    this.#folder = runtimePaths(config.runtime).residents
    this.#plain = new PlainEnds(owner.host, ({ taskId, number, end, recorded }) => {
      recorder.onceEnded(taskId, number, end, recorded)
      changed()
    })
    this.#events = {
      ready: () => this.workSoon(),
      broken: (resident, sentence) => this.#rest(resident, `it does not load: ${sentence}`),
      told: () => {
        this.#planDeadline()
        this.#recordSoon()
      },
      ended: (resident, held, end, recorded) => this.#ended(resident, held, end, recorded),
      gone: resident => this.#gone(resident),
      trouble: sentence => log.warn(sentence),
    }
  }

  /** Takes over what earlier lives left. */
  adopt(): void {
    if (!existsSync(this.#folder)) return
    const marked = findMarked(mark => mark.startsWith(`${this.#owner.host}/`))
    for (const name of readdirSync(this.#folder)) {
      const folder = join(this.#folder, name)
      try {
        const ticket = readResidentTicket(folder)
        const identity = ticket && identityOfResident(ticket, marked)
        const isOver = !readdirSync(folder).some(file => /^(handed|told)-\d+\.ndjson$/.test(file))
        if (!ticket || (isOver && !identity)) continue
        const resident = Resident.adopt(ticket, folder, identity, this.#events)
        if (identity) {
          this.#residents.set(name, resident)
          this.#adopted.push(...[...resident.held.values()].map(({ taskId, number }) => ({ taskId, number })))
          this.#launcher.guardResident(resident)
        }
      } catch (error) {
        this.#log.warn(`resident ${name} cannot be taken over: ${messageOf(error)}. Look at ${folder}.`)
      }
    }
    if (this.#residents.size) this.#log.info(`adopted ${this.#residents.size} resident runners`)
    this.#prune()
    this.workSoon()
  }

  learnDown(down: Down): void {
    this.#down = down
  }

  /** Live processes, and those on their way up. */
  get alive(): number {
    return this.#residents.size + this.#starting
  }
  /** Tasks in their hands. */
  get held(): number {
    let held = 0
    for (const resident of this.#residents.values()) held += resident.held.size
    return held
  }
  get unrecorded(): number {
    return this.#plain.size
  }
  get claims(): number {
    return this.#claims
  }
  get infos(): ResidentInfo[] {
    return [...this.#residents.values()].map(resident => ({
      name: resident.name,
      action: resident.ticket.action,
      pid: resident.identity.pid,
      startedAt: resident.ticket.startedAt,
      state: resident.state,
      handed: resident.handed,
      held: resident.held.size,
      concurrency: resident.ticket.options.concurrency,
      begun: [...resident.held.values()]
        .filter(run => run.beganAt !== null)
        .slice(0, 5)
        .map(({ taskId, number, beganAt }) => ({ taskId, number, beganAt: beganAt! })),
      blockedSince: resident.blockedSince,
    }))
  }

  /** Whether tasks of this action are handed to residents just now. */
  takes(action: string): boolean {
    const known = this.#actions.get(action)
    return known !== undefined && known.restUntil <= performance.now()
  }

  /** Takes over which actions are resident, as the map of the actions has it. */
  know(entries: readonly ActionEntry[]): void {
    this.#knows = true
    const resident = new Map(entries.filter(entry => entry.resident !== null && entry.error === null).map(entry => [entry.name, entry]))
    for (const name of this.#actions.keys()) if (!resident.has(name)) this.#actions.delete(name)
    for (const [name, entry] of resident) {
      const known = this.#actions.get(name)
      if (known) known.entry = entry
      else this.#actions.set(name, { entry, due: true, restUntil: 0 })
    }
  }

  /** Tasks of any action may have come to be due. Resolves when those were handed over that could be at once; never throws. */
  async wake(): Promise<void> {
    if (this.#actions.size === 0) return
    for (const known of this.#actions.values()) known.due = true
    this.workSoon()
    await this.#working
  }

  /** Whether the run is in somebody's hands, or its end on its way into the database. */
  holds(taskId: number, number: number): boolean {
    if (this.#plain.holds(taskId, number)) return true
    const name = runName(taskId, number)
    for (const resident of this.#residents.values()) if (resident.held.has(name)) return true
    return false
  }

  cancel(taskId: number, number: number): void {
    for (const resident of this.#residents.values()) resident.stop(runName(taskId, number), 'cancelled')
  }

  /** By the clock. */
  look(): void {
    for (const resident of this.#residents.values()) resident.look()
    this.#carryOut(this.#plan().filter(step => step.do === 'leave'))
  }

  /** Each finishes what it has begun; what it has not goes to a fresh one. @returns how many */
  reload(): number {
    for (const resident of this.#residents.values()) resident.reload = true
    for (const known of this.#actions.values()) known.restUntil = 0
    this.wake()
    this.look()
    return this.#residents.size
  }

  leave(): void {
    this.#mode = 'leaving'
    for (const resident of this.#residents.values()) resident.leave('the supervisor leaves', { interrupt: true })
  }

  letGo(): void {
    for (const resident of this.#residents.values()) resident.letGo()
    for (const timer of [this.#workTimer, this.#deadlineTimer]) if (timer) clearTimeout(timer)
  }

  /** Brings ends into the database. @throws what the database threw */
  async flush(db: Db): Promise<void> {
    // First, since who reads a run's row shall learn of it also when it has ended meanwhile.
    while (this.#adopted.length) {
      const some = new Set(this.#adopted.slice(0, adoptedAtOnce))
      await noteAdopted(db, [...some], this.#owner)
      this.#adopted = this.#adopted.filter(run => !some.has(run))
    }
    await this.#plain.flush(db)
  }

  /** Records what has ended, claims what is due and hands it over: one after the other, and again when something came up meanwhile. */
  workSoon(): void {
    if (this.#workTimer) clearTimeout(this.#workTimer)
    this.#workTimer = null
    if (this.#working) {
      this.#workAgain = true
      return
    }
    this.#working = this.#work()
      .catch((error: unknown) => this.#log.warn(messageOf(error)))
      .finally(() => {
        this.#working = null
        if (this.#workAgain && this.#database.awaySince === null) this.workSoon()
      })
  }

  #recordSoon(): void {
    // What is in hand comes first: whoever has nothing left is handed more at once.
    if (this.#plan().some(step => step.do === 'hand')) this.workSoon()
    else if (this.#plain.size) this.#workTimer ??= setTimeout(() => this.workSoon(), recordAfterMs)
  }

  async #work(): Promise<void> {
    this.#workAgain = false
    await this.#database.use(async db => {
      if (this.#mode === 'running') await this.#handOut(db)
      await this.flush(db)
    })
  }

  async #handOut(db: Db): Promise<void> {
    // Those who have a process are just asked for; for the others one look tells whether there is anything to start one for.
    const waking = [...this.#actions].filter(([action, known]) => known.due && !this.#has(action))
    if (waking.length) {
      const due = new Set(await actionsDue(db))
      for (const [action, known] of waking) known.due = due.has(action)
    }
    for (const step of this.#plan()) {
      if (step.do !== 'hand') this.#carryOut([step])
      else await this.#claim(db, this.#residents.get(step.name)!, step.most)
    }
  }

  #has(action: string): boolean {
    for (const resident of this.#residents.values()) if (resident.ticket.action === action && resident.state === 'ready') return true
    return false
  }

  async #claim(db: Db, resident: Resident, limit: number): Promise<void> {
    const { action } = resident.ticket
    const { identity, handed } = resident
    await this.#noteStart(db, resident)
    this.#claims++
    const claim = { action, limit, owner: this.#owner, process: identity, handedBefore: handed, down: this.#down, now: Date.now() }
    let claimed: ClaimedTask[]
    try {
      claimed = await claimOfAction(db, claim)
    } finally {
      this.#claims++
    }
    const known = this.#actions.get(action)
    if (known && claimed.length < limit) known.due = false
    if (claimed.length === 0) return
    // It may have gone meanwhile.
    const left = this.#residents.has(resident.name) && resident.state === 'ready' ? resident.hand(claimed) : claimed
    for (const task of left) this.#recorder.onceEnded(task.id, task.number, neverStarted())
    if (left.length) this.#changed()
  }

  /** Before its first run, and again while it is there, since rows of those that are long gone are removed. */
  async #noteStart(db: Db, resident: Resident): Promise<void> {
    const { startedWith } = resident.ticket
    const now = Date.now()
    if (!startedWith || Math.abs(now - resident.notedAt) < noteAgainMs) return
    await noteResidentStart(db, { host: this.#owner.host, process: resident.identity, startedWith, now })
    resident.notedAt = now
  }

  #plan(): ResidentStep[] {
    const now = performance.now()
    return planResidents({
      now,
      mode: this.#mode,
      actions: !this.#knows
        ? null
        : [...this.#actions].map(([action, { entry, due, restUntil }]) => ({ action, options: entry.resident!, due, restUntil })),
      residents: [...this.#residents.values()].map(resident => resident.view(now)),
    })
  }

  #carryOut(steps: readonly ResidentStep[]): void {
    for (const step of steps) {
      if (step.do === 'start') void this.#start(step.action)
      else if (step.do === 'leave') {
        const resident = this.#residents.get(step.name)!
        this.#log.info(`resident ${resident.identity.pid} (${resident.ticket.action}) leaves: ${step.because}`)
        resident.leave(step.because)
      }
    }
  }

  async #start(action: string): Promise<void> {
    const known = this.#actions.get(action)!
    if (this.#isStarting.has(action)) return
    this.#isStarting.add(action)
    this.#starting++
    const startedAt = Date.now()
    const name = `${action.replaceAll('/', '.')}-${startedAt.toString(36)}${randomBytes(2).toString('hex')}`
    const { file, exportName, resident: options } = known.entry
    try {
      const ticket = {
        ...{ name, action, file, exportName, options: options!, ...this.#owner, startedAt },
        ...{ mark: `${this.#owner.host}/${name}/${randomBytes(6).toString('hex')}`, outputBytes: this.#config.outputBytes },
        startedWith: startedWith(file),
      }
      const resident = await Resident.spawn(this.#config, ticket, join(this.#folder, name), this.#events)
      this.#residents.set(name, resident)
      this.#launcher.guardResident(resident)
      if (this.#mode === 'leaving') resident.leave('the supervisor leaves')
    } catch (error) {
      this.#log.warn(`no resident for ${action} could be started: ${messageOf(error)}`)
      known.restUntil = performance.now() + restMs
    } finally {
      this.#isStarting.delete(action)
      this.#starting--
    }
  }
  readonly #isStarting = new Set<string>()

  #ended(resident: Resident, held: HeldRun, end: RunEnd, recorded: () => void): void {
    const { taskId, number } = held
    const { action } = resident.ticket
    tellCrash(this.#log, { taskId, number, action }, end)
    const shown = this.#complete(resident, held, end)
    const isPlain = shown.kind === 'succeeded' && shown.error === null && !held.keyed && !shown.artifacts
    if (isPlain) this.#plain.add({ taskId, number, action, end: shown, recorded })
    else {
      this.#recorder.onceEnded(taskId, number, shown, recorded)
      this.#changed()
    }
  }

  #complete({ ticket: { startedWith } }: Resident, { name, params, timeoutMs, graceMs }: HeldRun, end: RunEnd): RunEnd {
    // It said nothing, and has no folder that something could lie in.
    if (end.kind === 'succeeded' && end.content === null && end.error === null && (end.outputBytes ?? null) === null) return end
    const { folder } = runtimePaths(this.#config.runtime).run(name)
    const ticket = {
      params: JSON.parse(params) as Json,
      execType: 'ONCE' as const,
      timeoutMs,
      graceMs,
      ...(startedWith ? { startedWith } : {}),
    }
    return completeEnd(this.#config, folder, ticket, end)
  }

  #gone(resident: Resident): void {
    this.#residents.delete(resident.name)
    this.#launcher.releaseResident(resident)
    if (resident.startedUp === false && this.#mode === 'running') this.#rest(resident, 'it ended before it was ready')
    this.#prune()
    this.#changed()
    this.wake()
  }

  #rest(resident: Resident, why: string): void {
    const known = this.#actions.get(resident.ticket.action)
    if (!known || known.restUntil > performance.now()) return
    known.restUntil = performance.now() + restMs
    this.#log.warn(
      `the resident of ${resident.ticket.action} did not come up: ${why}. For ${restMs / 1000} s its tasks have processes of their own.`,
    )
    this.#changed()
  }

  #planDeadline(): void {
    if (this.#deadlineTimer) clearTimeout(this.#deadlineTimer)
    this.#deadlineTimer = null
    let next = Number.POSITIVE_INFINITY
    for (const resident of this.#residents.values()) next = Math.min(next, resident.nextDeadlineAt ?? Number.POSITIVE_INFINITY)
    if (next === Number.POSITIVE_INFINITY) return
    this.#deadlineTimer = setTimeout(() => this.#endLate(), Math.max(1, Math.min(next - performance.now(), 2 ** 31 - 1)))
  }

  #endLate(): void {
    const now = performance.now()
    for (const resident of this.#residents.values()) {
      for (const run of resident.held.values())
        if (run.deadlineAt !== null && run.deadlineAt <= now && run.stop === null) resident.stop(run.name, 'timed-out')
    }
    this.#planDeadline()
  }

  /** Of the residents that have ended and are recorded, the newest folders stay. */
  #prune(): void {
    try {
      const over = readdirSync(this.#folder)
        .filter(name => !this.#residents.has(name) && !readdirSync(join(this.#folder, name)).some(file => file.endsWith('.ndjson')))
        .map(name => ({ name, startedAt: readResidentTicket(join(this.#folder, name))?.startedAt ?? 0 }))
        .sort((a, b) => b.startedAt - a.startedAt)
      for (const { name } of over.slice(keptFolders)) rmSync(join(this.#folder, name), { recursive: true, force: true })
    } catch (error) {
      this.#log.warn(`folders of ended residents could not be removed: ${messageOf(error)}`)
    }
  }

  /** Takes over which of the tasks that the rows say run here are to be cancelled. */
  take(running: readonly Task[]): void {
    for (const task of running) if (task.wanted === 'down') this.cancel(task.id, task.number)
  }
}
