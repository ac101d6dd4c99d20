import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { launcher, workRoot } from '../paths.ts'
import { readBeat } from '../runs/beat.ts'
import { commandWithin, nodeOptionsFor } from '../runs/bounds.ts'
import { busyMs } from '../runs/busy-time.ts'
import { endLeaf, killLeaf, type Leaf, makeLeaf, strikesOf } from '../runs/cgroups.ts'
import { giveOutput, openHandedFiles } from '../runs/handed-files.ts'
import type { Lock } from '../runs/locks.ts'
import { oomKills } from '../runs/oom-kills.ts'
import { type RunEnd, readEnd, writeOutcome } from '../runs/outcome-file.ts'
import { bootId, groupMembers, identify, isAlive, type ProcessIdentity, readStat, readUsage } from '../runs/process-identity.ts'
import { readOutput, sizeOf } from '../runs/read-output.ts'
import { runEnvironment } from '../runs/run-environment.ts'
import { runPaths, runtimePaths } from '../runs/runtime-folder.ts'
import { readStopRequest, type StopRequest, writeStopRequest } from '../runs/stop-file.ts'
import { type Ticket, writeTicket } from '../runs/ticket.ts'
import type { StopFacts } from '../task/end-facts.ts'
import { isCrash } from '../task/outcome.ts'
import { believe, type ExitFacts } from './how-it-ended.ts'
import { lowerPriority } from './lower-priority.ts'
import { endGroup, signalGroup, sweep, whatResists } from './signal-run.ts'

/** All children are measured together: what was read for one will do for the others. */
const measuredMs = 1_000
/** How long after SIGKILL a process may still be seen before it is called a survivor. */
const killWaitMs = 1_500

export interface ChildEvents {
  /** Its action is loaded. */
  ready(child: Child): void
  /** It is dead, and so is what it left behind unless `survivors` says otherwise. Called once. */
  end(child: Child, end: RunEnd): void
  trouble(sentence: string): void
}

/** The supervisor's handle on one live run, spawned here or adopted from an earlier life. */
export class Child {
  #ticket: Ticket
  readonly folder: string
  readonly adopted: boolean
  /** The action is loaded (or the process is old enough to be taken for up). */
  ready: boolean
  stop: StopRequest | null
  survivors: { pid: number; command: string }[] = []
  usage: { peakMemoryBytes: number; cpuMs: number } | null = null
  readonly #identity: ProcessIdentity
  readonly #on: ChildEvents
  #timers: NodeJS.Timeout[] = []
  /** Monotonic: when it was asked to stop. */
  #askedAt = 0
  /** How long after that SIGKILL was sent; null while it was not. */
  #killedAfterMs: number | null = null
  /** What the kernel had ended for want of memory when it was last looked at. */
  #oomKills = oomKills(measuredMs)
  /** How it ends because we said so, whatever it says. */
  #judged: RunEnd | null = null
  #ended = false

  private constructor(ticket: Ticket, folder: string, identity: ProcessIdentity, adopted: boolean, on: ChildEvents) {
    this.#ticket = ticket
    this.folder = folder
    this.#identity = identity
    this.adopted = adopted
    this.ready = adopted
    this.stop = adopted ? readStopRequest(folder) : null
    this.#on = on
  }

  /**
   * Starts the runner, within its limits: its own session and process group, its output straight into the file, nothing of ours to hold on to.
   * @param lock of a loop; the child inherits the descriptor and so holds it for as long as it lives
   * @throws SpawnFailed, or why its folder or its limits could not be made
   */
  static async spawn(config: Config, ticket: Ticket, folder: string, lock: Lock | null, on: ChildEvents): Promise<Child> {
    writeTicket(folder, ticket)
    const spawned = await startRunner(config, ticket, folder, lock, on)
    // It cannot have been reaped yet, so the pid is its own even if it is already dead.
    const pid = spawned.pid!
    const identity = { pid, startTicks: readStat(pid)?.startTicks ?? 0, bootId: bootId() }
    const child = new Child(ticket, folder, identity, false, on)
    // 'exit', not 'close': a grandchild may hold an inherited pipe open for ever.
    spawned.once('exit', (exitCode, signal) => void child.#end(exitCode, signal))
    spawned.unref()
    // It lives: from here on nothing may throw, or nobody would look after it. Without its process the ticket still has its mark.
    child.#tryTo('completing its ticket', () => writeTicket(folder, { ...ticket, process: identity }))
    child.#tryTo('lowering its priority', () => lowerPriority(identity.pid, 5))
    const readyPipe = spawned.stdio[4]!
    readyPipe.once('close', () => child.#becomeReady())
    readyPipe.once('error', () => child.#becomeReady())
    ;(readyPipe as unknown as NodeJS.ReadableStream).resume()
    child.#timers.push(setTimeout(() => child.#becomeReady(), 10_000))
    return child
  }

  /** Takes over a live run of an earlier supervisor. Its end is seen by `look`, since it is not our child. */
  static adopt(ticket: Ticket, folder: string, identity: ProcessIdentity, on: ChildEvents): Child {
    const child = new Child(ticket, folder, identity, true, on)
    if (child.stop) {
      const leftMs = Math.max(0, child.stop.at + child.stop.graceMs - Date.now())
      child.#askedAt = performance.now() + leftMs - child.stop.graceMs
      child.#escalate(leftMs)
    }
    return child
  }

  get ticket(): Ticket {
    return this.#ticket
  }

  /** From now on it is watched for stalls, as its action asks. */
  watch({ stallMs, stallRestart }: Pick<Ticket, 'stallMs' | 'stallRestart'>): void {
    const { guessed: _, ...ticket } = this.#ticket
    this.#ticket = { ...ticket, stallMs, stallRestart }
    // For whoever adopts it.
    this.#tryTo('completing its ticket', () => writeTicket(this.folder, { ...this.#ticket, process: this.#identity }))
  }

  get pid(): number {
    return this.#identity.pid
  }
  get identity(): ProcessIdentity {
    return this.#identity
  }

  /** Iterations that it says it has finished. */
  get iterations(): number {
    return this.#tryTo('reading its beat', () => readBeat(runPaths(this.folder).beat)?.iterations) ?? 0
  }

  /** How long it has had something to do so far. */
  get busyMs(): number {
    return isAlive(this.#identity) ? busyMs(this.#identity.pid) : 0
  }

  /** For adopted ones, twice a second: has it ended? */
  look(): void {
    if (this.adopted && !this.#ended && !isAlive(this.#identity)) void this.#end(null, null)
  }

  /** /proc forgets a process with its end, so what it used is noted while it lives. */
  measure(): void {
    if (!isAlive(this.#identity)) return
    this.usage = readUsage(this.#identity.pid) ?? this.usage
    this.#oomKills = oomKills(measuredMs)
  }

  /** Asks it to end: SIGTERM and SIGCONT to the group, after `graceMs` SIGKILL to all that bears its mark. */
  requestStop(why: StopRequest['why'], asked: Pick<StopFacts, 'because' | 'by' | 'stalled'>, graceMs = this.ticket.graceMs): void {
    if (this.#ended || this.stop) return
    this.stop = { why, ...asked, graceMs, at: Date.now() }
    this.#askedAt = performance.now()
    // Before the signal: the runner reads it to learn which word its end will have.
    const stop = this.stop
    this.#tryTo('writing its stop request', () => writeStopRequest(this.folder, stop))
    this.measure()
    signalGroup(this.#identity, 'SIGTERM')
    // A stopped process takes a SIGTERM only once it goes on.
    signalGroup(this.#identity, 'SIGCONT')
    this.#escalate(graceMs)
  }

  #escalate(afterMs: number): void {
    this.#timers.push(
      setTimeout(() => {
        this.measure()
        this.#killedAfterMs = Math.round(performance.now() - this.#askedAt)
        this.#kill()
      }, afterMs),
    )
  }

  /** Ends it at once, as failed, for the reason that the sentence gives: what it says itself counts no more. */
  fail(sentence: string): void {
    if (this.#ended || this.#judged) return
    this.measure()
    const judged: RunEnd = {
      kind: 'failed',
      content: sentence,
      error: null,
      exitCode: null,
      signal: 'SIGKILL',
      endedAt: Date.now(),
      iterations: this.iterations || null,
      peakMemoryBytes: this.usage?.peakMemoryBytes ?? null,
      cpuMs: this.usage?.cpuMs ?? null,
    }
    this.#judged = judged
    // Before the signal: should we die now, the next supervisor finds why it ended.
    this.#tryTo('writing its outcome', () => writeOutcome(runPaths(this.folder).outcome, judged))
    this.#kill()
  }

  #kill(): void {
    endGroup(this.#identity)
    for (const leaf of this.#leaves) killLeaf(leaf)
    void sweep(this.ticket.mark)
    this.#timers.push(setTimeout(() => void this.#findSurvivors(), killWaitMs))
  }

  get #leaves() {
    return this.ticket.bounds?.leaves ?? []
  }

  async #findSurvivors(): Promise<void> {
    this.survivors = await whatResists(await sweep(this.ticket.mark), killWaitMs)
    if (this.survivors.length && !this.#ended) this.#timers.push(setTimeout(() => void this.#findSurvivors(), killWaitMs))
  }

  #becomeReady(): void {
    if (this.ready || this.#ended) return
    this.ready = true
    this.#on.ready(this)
  }

  async #end(exitCode: number | null, signal: string | null): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    const endedAt = Date.now()
    for (const timer of this.#timers) clearTimeout(timer)
    // What it left behind in its group ends with it; after a stop or a crash also what left the group. One that ended well may leave a daemon.
    const left = hasGroup(this.#identity.pid) ? groupMembers(this.#identity.pid) : []
    for (const member of left) endGroup(member)
    const paths = runPaths(this.folder)
    const told = this.#judged ?? this.#tryTo('reading its outcome', () => readEnd(paths)) ?? null
    const strikes = this.#tryTo('looking at its limits', () => strikesIn(this.ticket))
    // Nobody waits for the sweep after a crash: the next run has a mark of its own, and should be up at once.
    if (!this.stop && (told === null || this.#judged || isCrash(told.kind))) void sweep(this.ticket.mark)
    // What lives in its leaves goes with it, wherever else it has gone to.
    const bounded = await Promise.all(this.#leaves.map(leaf => this.#endLeaf(leaf)))
    this.survivors = await whatResists([...left, ...(this.stop ? await sweep(this.ticket.mark) : []), ...bounded.flat()], killWaitMs)
    const facts: ExitFacts = {
      exitCode,
      signal,
      endedAt,
      stop: this.stop,
      forced: this.#killedAfterMs !== null,
      killedAfterMs: this.#killedAfterMs,
      kernelKills: signal === 'SIGKILL' ? this.#kernelKills() : null,
      // Only one that says nothing itself has to be guessed at.
      tail: told ? '' : (this.#tryTo('reading its output', () => readOutput(this.folder, { maxBytes: 8_192 }).text) ?? ''),
      usage: this.usage,
      iterations: told ? null : (this.#tryTo('reading its beat', () => readBeat(paths.beat)?.iterations) ?? null),
      ...(strikes ? { limits: strikes } : {}),
    }
    const end = believe(told, facts)
    // The path after a crash of ours is the same: whoever comes then reads the folder.
    if (!told || this.ticket.bounds?.user) this.#tryTo('writing its outcome', () => writeOutcome(paths.outcome, told ?? end))
    this.#on.end(this, {
      ...end,
      error: [end.error, survivorsSentence(this.survivors)].filter(Boolean).join('\n') || null,
      outputBytes: this.#tryTo('measuring its output', () => sizeOf(paths.output) + sizeOf(paths.rotatedOutput)) ?? null,
    })
  }

  #kernelKills(): number | null {
    const now = oomKills(0)
    return now === null || this.#oomKills === null ? null : now - this.#oomKills
  }

  async #endLeaf(leaf: Leaf): Promise<ProcessIdentity[]> {
    try {
      return await endLeaf(leaf, killWaitMs)
    } catch (error) {
      this.#on.trouble(
        `run ${this.ticket.taskId}-${this.ticket.number}: the cgroup ${leaf.folder} could not be removed: ${messageOf(error)}`,
      )
      return []
    }
  }

  // A full disk, or a folder that somebody broke, must not keep a run from being stopped and its end from being told.
  #tryTo<T>(what: string, work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#on.trouble(`run ${this.ticket.taskId}-${this.ticket.number}: ${what} failed: ${messageOf(error)}`)
      return undefined
    }
  }

  /** Leaves it alone, alive: this supervisor goes, the next one adopts it. */
  letGo(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#ended = true
  }
}

export class SpawnFailed extends Error {
  constructor(cause: unknown) {
    super(`no process can be had now (${messageOf(cause)}): too little memory, or too many processes or open files`, { cause })
  }
}

/** What the limits of a run have done to it so far; undefined when it has none. */
export const strikesIn = ({ limits, bounds }: Ticket): ExitFacts['limits'] => {
  if (!limits) return undefined
  const strikes = (bounds?.leaves ?? []).map(strikesOf)
  return {
    memoryMb: limits.memoryMb,
    processes: limits.processes,
    outOfMemory: strikes.reduce((sum, { outOfMemory }) => sum + outOfMemory, 0),
    refusedForks: strikes.reduce((sum, { refusedForks }) => sum + refusedForks, 0),
  }
}

/** The run whose ticket has no process: found by its mark among all live ones, if it was spawned at all. */
export const identityOf = (
  ticket: Ticket,
  marked: readonly { identity: ProcessIdentity; mark: string; groupId: number }[],
): ProcessIdentity | null => {
  if (ticket.process) return isAlive(ticket.process) ? ticket.process : null
  const leader = marked.find(found => found.mark === ticket.mark && found.groupId === found.identity.pid)
  return leader ? identify(leader.identity.pid) : null
}

// No exec more than before for a run without limits.
const startRunner = async (config: Config, ticket: Ticket, folder: string, lock: Lock | null, on: ChildEvents): Promise<ChildProcess> => {
  const { bounds, limits } = ticket
  const environment = { ...runEnvironment(config, { mark: ticket.mark, runFolder: folder }), BGTASK_READY_FD: '4' }
  const command = [process.execPath, ...nodeOptionsFor(limits?.memoryMb ?? null), launcher, ticket.action, String(ticket.taskId)]
  const [program, ...given] = bounds ? commandWithin(bounds, command) : command
  const made: Leaf[] = []
  const open: { close(): void }[] = []
  try {
    const output = openSync(runPaths(folder).output, 'a', 0o600)
    open.push({ close: () => closeSync(output) })
    const handed = bounds?.user
      ? openHandedFiles(runPaths(folder), bounds.database ? runtimePaths(config.runtime).databaseUrl : null)
      : null
    if (handed) open.push(handed)
    if (bounds?.user) giveOutput(output, bounds.user)
    for (const leaf of bounds?.leaves ?? []) {
      makeLeaf(leaf)
      made.push(leaf)
    }
    const spawned = spawn(program!, given, {
      cwd: workRoot,
      env: bounds?.user ? { ...environment, ...handed!.variables, HOME: bounds.user.home } : environment,
      detached: true,
      stdio: ['ignore', output, output, lock ? lock.descriptor : 'ignore', 'pipe', ...(handed?.descriptors ?? [])],
    })
    if (spawned.pid !== undefined) return spawned
    const [cause] = (await once(spawned, 'error')) as [Error]
    throw new SpawnFailed(cause)
  } catch (error) {
    for (const leaf of made) void endLeaf(leaf, killWaitMs).catch((reason: unknown) => on.trouble(messageOf(reason)))
    throw error
  } finally {
    for (const one of open) one.close()
  }
}

const hasGroup = (groupId: number) => {
  try {
    process.kill(-groupId, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const survivorsSentence = (survivors: Child['survivors']) =>
  survivors.length > 0 &&
  `Still alive after SIGKILL: ${survivors.map(({ pid, command }) => `${pid} ${command}`).join('; ')}. End them by hand, or restart the machine.`
