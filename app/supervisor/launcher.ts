import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ActionEntry } from '../catalog/action-entry.ts'
import { faultOf } from '../catalog/action-entry.ts'
import { type Catalog, loadCatalog } from '../catalog/catalog.ts'
import { guessAction } from '../catalog/scan-actions.ts'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import type { Lock } from '../runs/locks.ts'
import { makeTicket } from '../runs/make-ticket.ts'
import type { OpenRuns } from '../runs/open-runs.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import type { ProcessIdentity } from '../runs/process-identity.ts'
import { startedWith } from '../runs/started-with.ts'
import type { Ticket } from '../runs/ticket.ts'
import { outputSentence } from '../task/limits.ts'
import { runName } from '../task/run.ts'
import type { Task } from '../task/task.ts'
import { Child, type ChildEvents } from './child.ts'
import { completeEnd } from './complete-end.ts'
import { Limiter } from './limiter.ts'
import { OutputGuards } from './output-guards.ts'
import type { Log } from './supervisor.ts'

const catalogWaitMs = 500

/** Turns a task into a live run: ticket, folder, process, and the watch over its output. */
export class Launcher {
  readonly events: ChildEvents
  readonly #config: Config
  readonly #owner: { host: string; epoch: string }
  readonly #open: OpenRuns
  readonly #log: Log
  #known: Catalog | null = null
  readonly #guards: OutputGuards
  readonly #limiter: Limiter

  constructor(
    config: Config,
    owner: { host: string; epoch: string },
    open: OpenRuns,
    log: Log,
    on: { ready: (child: Child) => void; end: (child: Child, end: RunEnd) => void },
  ) {
    this.#config = config
    this.#owner = owner
    this.#open = open
    this.#log = log
    this.#limiter = new Limiter(config, owner.host)
    this.#guards = new OutputGuards(sentence => log.warn(sentence))
    this.events = {
      ready: on.ready,
      end: (child, end) => {
        this.#guards.release(child.folder)
        on.end(child, completeEnd(config, child.folder, child.ticket, end))
      },
      trouble: sentence => log.warn(sentence),
    }
  }

  /** @throws when no folder can be made or no process be started */
  async launch(ticket: Ticket, lock: Lock | null): Promise<Child> {
    const name = runName(ticket.taskId, ticket.number)
    this.#open.add(name)
    const child = await Child.spawn(this.#config, ticket, join(this.#config.runtime, 'runs', name), lock, this.events)
    this.guard(child)
    return child
  }

  /** Keeps the output of a run within its limit, also of one that was adopted. */
  guard(child: Child): void {
    const killAtBytes = child.ticket.limits?.killOnOutputBytes ?? null
    this.#guards.guard({ folder: child.folder, identity: child.identity, limitBytes: this.#config.outputBytes, killAtBytes }, () =>
      child.fail(outputSentence(killAtBytes!)),
    )
  }

  /** The same for what a resident runner prints outside of its tasks. */
  guardResident({ folder, identity }: { folder: string; identity: ProcessIdentity }): void {
    this.#guards.guard({ folder, identity, limitBytes: this.#config.outputBytes, killAtBytes: null }, () => {})
  }
  releaseResident({ folder }: { folder: string }): void {
    this.#guards.release(folder)
  }

  /** The actions as far as they are known, after a look that does not take long. */
  async entries(): Promise<readonly ActionEntry[]> {
    return (await this.#catalog())?.entries ?? []
  }

  /** A run that began before its file was described is watched for stalls from the moment on at which that is known. */
  learnWatch(child: Child): void {
    const entry = child.ticket.guessed && this.#known?.get(child.ticket.action)
    if (entry) child.watch(entry)
  }

  close(): void {
    this.#guards.close()
  }

  async ticket(task: Task, number: number): Promise<Ticket> {
    const entry = (await this.#catalog())?.get(task.action)
    // Not in the map: the runner says so, in the run's own outcome.
    const action = entry ?? {
      ...this.#guess(task.action),
      stallMs: null,
      stallRestart: false,
    }
    const ticket: Ticket = {
      ...makeTicket(task, action, { number, ...this.#owner, marked: true }),
      startedWith: startedWith(action.file),
      ...(entry ? {} : { guessed: true as const }),
    }
    if (entry?.isAmbiguous) return { ...ticket, refusal: `The action ${entry.name} ${faultOf(entry)}.` }
    if (!entry?.limits) return ticket
    const answer = await this.#limiter.boundsOf(entry.limits, runName(task.id, number), entry.file)
    return { ...ticket, limits: entry.limits, ...answer }
  }

  #guess(name: string): { file: string; exportName: string } {
    try {
      const guessed = guessAction(this.#config.actions, name)
      if (guessed) return guessed
    } catch (error) {
      this.#log.warn(messageOf(error))
    }
    return { file: join(this.#config.actions[0] ?? '', `${name}.ts`), exportName: 'execute' }
  }

  async #catalog(): Promise<Catalog | null> {
    const loading = loadCatalog(this.#config).then(
      catalog => {
        this.#known = catalog
      },
      (error: unknown) => this.#log.warn(`the actions in ${this.#config.actions.join(' and ')} could not be listed: ${messageOf(error)}`),
    )
    // A new file that hangs while it is described must not hold up the others: the runner finds a file by its path too.
    await Promise.race([loading, delay(catalogWaitMs, undefined, { ref: false })])
    return this.#known
  }
}
