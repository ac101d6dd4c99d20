import { closeSync, openSync } from 'node:fs'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import { bootId, isAlive, type ProcessIdentity, readRssBytes, readStat } from '../runs/process-identity.ts'
import { readOutput } from '../runs/read-output.ts'
import {
  parseTold,
  type ResidentTicket,
  type ResidentVerdict,
  readResidentBeat,
  residentPaths,
  type Told,
  writeResidentTicket,
} from '../runs/resident-files.ts'
import type { StopRequest } from '../runs/stop-file.ts'
import { readJson, writeJson } from '../runs/write-file.ts'
import type { ClaimedTask } from '../store/claim-of-action.ts'
import { runName } from '../task/run.ts'
import { howItEnded } from './how-it-ended.ts'
import { lowerPriority } from './lower-priority.ts'
import type { ResidentView } from './plan-residents.ts'
import { ResidentPages } from './resident-pages.ts'
import { startResident } from './resident-process.ts'
import { endGroup, sweep, whatResists } from './signal-run.ts'

/** A run that a resident holds. Times with `At` are monotonic, but for `beganAt`. */
export interface HeldRun {
  name: string
  taskId: number
  number: number
  keyed: boolean
  /** JSON. */
  params: string
  timeoutMs: number | null
  graceMs: number
  /** Milliseconds since 1970; null: not begun. */
  beganAt: number | null
  deadlineAt: number | null
  stop: { why: StopRequest['why']; killAt: number } | null
  /** Which file of those handed names it. */
  page: number
}

export interface ResidentEvents {
  /** Its action is loaded. */
  ready(resident: Resident): void
  /** Its action does not load. */
  broken(resident: Resident, sentence: string): void
  /** @param recorded to be called when that is in the database */
  ended(resident: Resident, held: HeldRun, end: RunEnd, recorded: () => void): void
  /** It has told something that may change what is to be done. */
  told(resident: Resident): void
  /** The process is dead, all it held has ended. */
  gone(resident: Resident): void
  trouble(sentence: string): void
}

/** Its lines are looked at no more often than this, so that many come at once. */
const gatherMs = 4
/** Tasks may lie there ahead of their turn for about so long, by how fast the last ones were. */
const aheadMs = 100
const mostAhead = 1_000
/** No sign of life for so long while it has begun something: its event loop is blocked, or the process is stopped. */
const blockedAfterMs = 3_000
const killWaitMs = 1_500

/** The supervisor's handle on one resident runner, spawned here or adopted from an earlier life. runs/resident-files.ts tells how they talk. */
export class Resident {
  readonly ticket: ResidentTicket
  readonly folder: string
  readonly adopted: boolean
  readonly held = new Map<string, HeldRun>()
  state: ResidentView['state'] = 'starting'
  /** It has been ready. */
  startedUp = false
  handed = 0
  reload = false
  /** When its row was written that says with what it was started; milliseconds since 1970. */
  notedAt = 0
  /** Milliseconds since 1970; null: it gives signs of life. */
  blockedSince: number | null = null
  readonly startedAt: number
  readonly #identity: ProcessIdentity
  readonly #on: ResidentEvents
  readonly #pages: ResidentPages
  #readTimer: NodeJS.Timeout | null = null
  #readAt = Number.NEGATIVE_INFINITY
  #idleSince: number | null
  #ahead = 0
  #window = { ends: 0, since: 0 }
  #rss = { mb: 0, at: Number.NEGATIVE_INFINITY }
  #lifeAt = performance.now()
  #ended = false
  #killTimer: NodeJS.Timeout | null = null

  private constructor(ticket: ResidentTicket, folder: string, identity: ProcessIdentity, adopted: boolean, on: ResidentEvents) {
    this.ticket = ticket
    this.folder = folder
    this.adopted = adopted
    this.#identity = identity
    this.#on = on
    this.#pages = new ResidentPages(folder, {
      adopted,
      isHeldFrom: page => [...this.held.values()].some(run => run.page === page),
      trouble: sentence => on.trouble(`resident ${this.name}: ${sentence}`),
    })
    this.startedAt = performance.now() - Math.max(0, Date.now() - ticket.startedAt)
    this.#idleSince = performance.now()
  }

  /** @throws SpawnFailed, or why its folder could not be made */
  static async spawn(config: Config, ticket: ResidentTicket, folder: string, on: ResidentEvents): Promise<Resident> {
    writeResidentTicket(folder, ticket)
    const paths = residentPaths(folder)
    for (const path of [paths.handed(1), paths.told(1)]) closeSync(openSync(path, 'a', 0o600))
    const spawned = await startResident(config, ticket, folder)
    const pid = spawned.pid!
    const identity = { pid, startTicks: readStat(pid)?.startTicks ?? 0, bootId: bootId() }
    const resident = new Resident({ ...ticket, process: identity }, folder, identity, false, on)
    spawned.once('exit', (code, signal) => void resident.#end(code, signal))
    spawned.unref()
    resident.#tryTo('completing its ticket', () => writeResidentTicket(folder, resident.ticket))
    // Only a little: its tasks are many and short, and whoever adds one waits for it.
    resident.#tryTo('lowering its priority', () => lowerPriority(pid, 2))
    resident.#follow()
    return resident
  }

  /** Takes over what an earlier supervisor left, alive or dead: what it had been handed, had begun and had ended lies in its folder. */
  static adopt(ticket: ResidentTicket, folder: string, identity: ProcessIdentity | null, on: ResidentEvents): Resident {
    const resident = new Resident(ticket, folder, identity ?? { pid: 0, startTicks: 0, bootId: '' }, true, on)
    resident.#recall()
    if (identity === null) void resident.#end(null, null)
    else resident.#follow()
    return resident
  }

  get name(): string {
    return this.ticket.name
  }
  get identity(): ProcessIdentity {
    return this.#identity
  }
  /** Ends that are not in the database yet. */
  get unrecorded(): number {
    return this.#pages.unrecorded
  }

  view(now: number): ResidentView {
    const { options } = this.ticket
    return {
      name: this.name,
      action: this.ticket.action,
      options,
      state: this.state,
      held: this.held.size,
      handed: this.handed,
      ahead: this.#ahead,
      startedAt: this.startedAt,
      idleSince: this.#idleSince,
      rssMb: options.maxRssMb === null ? 0 : this.#measure(now),
      reload: this.reload,
    }
  }

  #measure(now: number): number {
    if (now - this.#rss.at > 100) this.#rss = { mb: (readRssBytes(this.#identity.pid) ?? 0) / 1e6, at: now }
    return this.#rss.mb
  }

  /** @returns those that could not be handed over: a full disk */
  hand(tasks: readonly ClaimedTask[]): ClaimedTask[] {
    const lines = tasks.map(task => ({ task, line: Buffer.from(taskLine(task)) }))
    const bytes = this.#pages.append(Buffer.concat(lines.map(({ line }) => line)))
    if (this.held.size === 0) this.#window = { ends: 0, since: performance.now() }
    let sum = 0
    const left: ClaimedTask[] = []
    for (const { task, line } of lines) {
      sum += line.length
      // A line that is there as a whole is read.
      if (sum <= bytes) this.#hold(task, this.#pages.handedPage)
      else left.push(task)
    }
    this.handed += tasks.length - left.length
    if (this.held.size) this.#idleSince = null
    this.#pages.turnOverWhenFull()
    return left
  }

  /** Asks for the end of one run. One that does not end within its grace takes the process with it. */
  stop(name: string, why: StopRequest['why']): void {
    const run = this.held.get(name)
    if (!run || run.stop || this.#ended) return
    run.stop = { why, killAt: performance.now() + run.graceMs }
    this.#pages.say({ stop: name, why })
    this.#planKill()
  }

  /** No more tasks; it goes when what it has begun has ended. @param interrupt also asks those to end */
  leave(because: string, { interrupt = false } = {}): void {
    if (this.#ended) return
    if (this.state !== 'leaving') this.#pages.say({ leave: because })
    this.state = 'leaving'
    // Also those that it may have begun without our knowing yet.
    if (interrupt) for (const name of this.held.keys()) this.stop(name, 'interrupted')
  }

  /** Looks by the clock at what may have gone unnoticed. */
  look(): void {
    if (this.#ended) return
    this.#read()
    if (this.adopted && !isAlive(this.#identity)) {
      void this.#end(null, null)
      return
    }
    const begun = [...this.held.values()].some(run => run.beganAt !== null)
    const now = performance.now()
    if (!begun) this.#lifeAt = now
    else if (now - this.#lifeAt > blockedAfterMs) {
      const beat = this.#tryTo('reading its beat', () => readResidentBeat(this.folder))
      if (beat && Date.now() - beat.at < blockedAfterMs) this.#lifeAt = now
    }
    const blocked = now - this.#lifeAt > blockedAfterMs
    if (blocked && this.blockedSince === null) {
      this.blockedSince = Date.now() - Math.round(now - this.#lifeAt)
      const names = [...this.held.values()].filter(run => run.beganAt !== null).map(run => run.name)
      this.#on.trouble(
        `resident ${this.#identity.pid} (${this.ticket.action}) gives no sign of life: its event loop is blocked, or the process is stopped. It has begun ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' …' : ''}`,
      )
    } else if (!blocked) this.blockedSince = null
  }

  /** The earliest moment at which one of its runs has taken too long; null: none can. */
  get nextDeadlineAt(): number | null {
    let next: number | null = null
    for (const { deadlineAt, stop } of this.held.values())
      if (deadlineAt !== null && stop === null && (next === null || deadlineAt < next)) next = deadlineAt
    return next
  }

  /** Leaves it alone, alive: this supervisor goes, the next one adopts it. */
  letGo(): void {
    this.#ended = true
    this.#close()
  }

  #hold(task: Omit<HeldRun, 'name' | 'taskId' | 'beganAt' | 'deadlineAt' | 'stop' | 'page'> & { id: number }, page: number): void {
    const name = runName(task.id, task.number)
    const { number, keyed, params, timeoutMs, graceMs } = task
    this.held.set(name, {
      name,
      ...{ taskId: task.id, number, keyed, params, timeoutMs, graceMs, page },
      ...{ beganAt: null, deadlineAt: null, stop: null },
    })
  }

  #follow(): void {
    this.#pages.watch(() => this.#readSoon())
    this.#readSoon()
  }

  #readSoon(): void {
    if (this.#readTimer || this.#ended) return
    const waitMs = this.#readAt + gatherMs - performance.now()
    this.#readTimer = setTimeout(
      () => {
        this.#readTimer = null
        this.#read()
      },
      Math.max(0, waitMs),
    )
  }

  #read(): void {
    if (this.#ended) return
    this.#readAt = performance.now()
    const told = this.#readLines()
    if (told > 0) {
      this.#lifeAt = this.#readAt
      this.#on.told(this)
    }
  }

  #readLines(): number {
    const lines = this.#pages.read()
    const before = this.held.size
    for (const line of lines) {
      const told = parseTold(line)
      if (told) this.#hear(told)
    }
    this.#reckon(before)
    return lines.length
  }

  /** Up to the end of the last page. */
  #readAll(): void {
    for (let lines = 1, page = 0; lines > 0 || page !== this.#pages.toldPage; ) {
      page = this.#pages.toldPage
      lines = this.#readLines()
    }
  }

  /** How many tasks it should have in hand, by how fast the last ones were. */
  #reckon(before: number): void {
    const now = performance.now()
    const elapsed = now - this.#window.since
    if (this.held.size === 0 && before > 0) this.#idleSince = now
    if (this.#window.ends === 0 || elapsed <= 0 || (elapsed < 20 && this.held.size > 0)) {
      if (elapsed > aheadMs && this.held.size > 0 && this.#window.ends === 0) this.#ahead = Math.floor(this.#ahead / 2)
      return
    }
    this.#ahead = Math.min(mostAhead, Math.round((this.#window.ends / elapsed) * aheadMs))
    this.#window = { ends: 0, since: now }
  }

  #hear(told: Told): void {
    if ('began' in told) {
      const run = this.held.get(told.began)
      if (!run) return
      run.beganAt = told.at
      if (run.stop) this.#planKill()
      if (run.timeoutMs !== null) run.deadlineAt = performance.now() + run.timeoutMs - Math.max(0, Date.now() - told.at)
    } else if ('ended' in told) {
      this.#over(told.ended, told.end)
    } else if ('back' in told) {
      for (const name of told.back) this.#over(name, givenBack())
    } else if ('ready' in told) {
      this.startedUp = true
      if (this.state === 'starting') this.state = 'ready'
      this.#on.ready(this)
    } else if ('broken' in told) {
      this.state = 'leaving'
      this.#on.broken(this, told.broken)
    } else if ('next' in told) {
      this.#pages.followTo(told.next)
      if (!this.#ended) this.#follow()
    } else if ('held' in told) {
      const there = new Map(told.held)
      // What is not among it had ended, and was in the database, before the page that told of it was removed.
      for (const [name, run] of this.held) if (run.page < this.#pages.toldPage && !there.has(name)) this.held.delete(name)
      for (const [name, beganAt] of there) if (beganAt) this.#hear({ began: name, at: beganAt })
    }
  }

  #over(name: string, end: RunEnd): void {
    const run = this.held.get(name)
    if (!run) return
    this.held.delete(name)
    this.#window.ends++
    const recorded = this.#pages.noteEnd()
    this.#on.ended(this, run, end, () => {
      recorded()
      this.#pages.tidy(run.page)
    })
  }

  #planKill(): void {
    if (this.#killTimer) clearTimeout(this.#killTimer)
    // One that has not begun blocks nobody, and is dropped when its turn comes.
    const asked = [...this.held.values()].filter(run => run.stop && run.beganAt !== null)
    if (asked.length === 0) return
    const killAt = Math.min(...asked.map(run => run.stop!.killAt))
    this.#killTimer = setTimeout(() => this.#killUnlessEnded(), Math.max(0, killAt - performance.now()))
  }

  #killUnlessEnded(): void {
    this.#read()
    const now = performance.now()
    const late = [...this.held.values()].filter(run => run.stop && run.beganAt !== null && run.stop.killAt <= now)
    if (late.length === 0 || this.#ended) {
      this.#planKill()
      return
    }
    const verdict: ResidentVerdict = {
      why: `${late.map(run => run.name).join(', ')} did not end when asked to`,
      culprits: late.map(run => ({ name: run.name, why: run.stop!.why, graceMs: run.graceMs })),
    }
    // Before the signal: should we die now, the next supervisor finds who is to blame and who is not.
    this.#tryTo('writing why it is ended', () => writeJson(residentPaths(this.folder).end, verdict))
    this.state = 'leaving'
    this.#on.trouble(`resident ${this.#identity.pid} (${this.ticket.action}) is ended: ${verdict.why}`)
    endGroup(this.#identity)
    void sweep(this.ticket.mark)
  }

  async #end(exitCode: number | null, signal: string | null): Promise<void> {
    if (this.#ended) return
    const endedAt = Date.now()
    // All that it said before it died.
    this.#readAll()
    this.#ended = true
    this.state = 'leaving'
    this.#close()
    const left = this.ticket.process ? [this.#identity] : []
    const swept = await sweep(this.ticket.mark)
    const survivors = await whatResists([...left.filter(isAlive), ...swept], killWaitMs)
    if (survivors.length)
      this.#on.trouble(
        `resident ${this.name}: still alive after SIGKILL: ${survivors.map(({ pid, command }) => `${pid} ${command}`).join('; ')}`,
      )
    const verdict = this.#tryTo('reading why it was ended', () => readJson<ResidentVerdict>(residentPaths(this.folder).end))
    const tail = this.held.size ? (this.#tryTo('reading its output', () => readOutput(this.folder, { maxBytes: 8_192 }).text) ?? '') : ''
    for (const run of [...this.held.values()]) {
      const culprit = verdict?.culprits.find(({ name }) => name === run.name)
      const facts = { exitCode, signal, endedAt, forced: false, stop: null, tail, usage: null, iterations: null }
      const asked = culprit && { why: culprit.why, by: null, graceMs: culprit.graceMs, at: endedAt }
      if (run.beganAt === null) this.#over(run.name, givenBack())
      else if (asked) this.#over(run.name, howItEnded({ ...facts, signal: 'SIGKILL', forced: true, stop: asked }))
      else if (verdict) this.#over(run.name, { ...givenBack(), error: `Its resident runner was ended: ${verdict.why}.` })
      else this.#over(run.name, howItEnded({ ...facts, stop: run.stop && { ...run.stop, by: null, graceMs: run.graceMs, at: endedAt } }))
    }
    this.#pages.closeAll()
    this.#on.gone(this)
  }

  #close(): void {
    this.#pages.close()
    for (const timer of [this.#readTimer, this.#killTimer]) if (timer) clearTimeout(timer)
    this.#readTimer = null
    this.#killTimer = null
  }

  /** Reads what an earlier life and the resident wrote to each other. */
  #recall(): void {
    this.#pages.recall((wish, page) => {
      if ('task' in wish) {
        // Whether it holds a key is for the rows to say, so that each of these is looked at.
        this.#hold({ ...wish.task, params: JSON.stringify(wish.params), keyed: true }, page)
        this.handed = Math.max(this.handed, wish.task.nth)
      } else if ('leave' in wish) this.state = 'leaving'
    })
    // Quietly; from there on it is followed.
    this.#readAll()
    if (this.held.size) this.#idleSince = null
  }

  // A full disk, or a folder that somebody broke, must not keep what happened from being told.
  #tryTo<T>(what: string, work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#on.trouble(`resident ${this.name}: ${what} failed: ${messageOf(error)}`)
      return undefined
    }
  }
}

const givenBack = (): RunEnd => ({
  ...{ kind: 'interrupted', content: null, error: null, exitCode: null, signal: null },
  ...{ endedAt: Date.now(), iterations: null, peakMemoryBytes: null, cpuMs: null },
})

// The params are JSON already.
const taskLine = ({ id, uid, number, nth, type, creator, attempt, timeoutMs, graceMs, params }: ClaimedTask): string =>
  `{"task":${JSON.stringify({ id, uid, number, nth, type, creator, attempt, timeoutMs, graceMs })},"params":${params.includes('\n') ? JSON.stringify(JSON.parse(params)) : params}}\n`
