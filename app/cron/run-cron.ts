import type { Background } from '../api/background.ts'
import { queueOf, shownItem } from '../api/queue.ts'
import { messageOf } from '../errors.ts'
import { CronLockLost, closeCronRun, openCronRun } from '../store/cron.ts'
import { beginPart, type CronPart, endPart, keepParts, listParts } from '../store/cron-parts.ts'
import type { Db } from '../store/database.ts'
import { claimItem, deleteItem, freeHeldByCron, putBack, type QueuePlace, type StoredItem, setAside } from '../store/queue-items.ts'
import type { CronContext, CronLog, WorkerContext } from './contexts.ts'
import { cronFacts } from './cron-facts.ts'
import { takeLock } from './cron-lock.ts'
import { type LoadedModules, loadModules } from './load-modules.ts'
import type { ModuleFacts, QueueFacts } from './module-facts.ts'
import { isOf, orderParts, type PartToDo } from './order-parts.ts'
import { type QueueSignal, signalOf } from './queue-signals.ts'
import { catchStrayErrors } from './stray-errors.ts'
import { createWatchdog, type Watchdog } from './watchdog.ts'

/** What a cron run stands on: the run of a task, and the database. */
export interface CronRun {
  background: Background
  taskId: number
  number: number
  /** The run is asked to stop. */
  signal: AbortSignal
  log: CronLog
  progress(done: number, total: number, note: string): void
  secret(value: string): string
  addTask: Background['addTask']
  /** The database, for code of modules. */
  kysely(): Promise<Db['kysely']>
}

/** How a cron run ended. */
export interface CronEnd {
  /** `busy`: another process runs cron, and nothing was done. `interrupted`: asked to stop, and something is left. `lost`: another process goes on. */
  kind: 'done' | 'failed' | 'busy' | 'interrupted' | 'lost'
  sentence: string
}

/**
 * Calls every hook, one after the other, then works each queue for at most its time. An error of one is caught, told and stored, and harms no other. What
 * an earlier run of the same task has done is not done again, so that a run that died is carried on by the next.
 */
export const runCron = async (run: CronRun): Promise<CronEnd> => {
  const { db, config } = run.background
  const facts = await cronFacts(config)
  const lock = await takeLock(db, { runtime: config.runtime, taskId: run.taskId })
  if (lock.held === null) {
    const since = new Date(lock.by.at).toISOString()
    return { kind: 'busy', sentence: `Cron runs already (task ${lock.by.taskId}, since ${since}); nothing was done.` }
  }
  const { token, lost } = lock.held
  const watchdog = createWatchdog()
  const at: Place = { part: null, stray: null }
  const undo = catchStrayErrors(error => {
    run.log.error(`${nameOf(at.part)}: an error that nobody caught: ${messageOf(error)}`)
    console.error(error)
    at.stray ??= `An error that nobody caught: ${messageOf(error)}`
  })
  try {
    const freed = await freeHeldByCron(db, token, Date.now())
    if (freed > 0) run.log.warn(`${freed} ${freed === 1 ? 'item' : 'items'} of a run that died will be tried again`)
    const loaded = await loadModules(facts.modules.filter(isLoadable))
    const broken = tellBroken(run, facts.modules, loaded.modules)
    const before = await listParts(db)
    const begun = { taskId: run.taskId, number: run.number, first: await openCronRun(db, token, run) }
    const parts = orderParts(loaded, before, begun)
    await keepParts(db, token, orderParts(loaded, [], begun))
    const stop = AbortSignal.any([run.signal, lost])
    const ends: PartEnd[] = []
    for (const [index, part] of parts.entries()) {
      if (stop.aborted) break
      run.progress(index, parts.length, nameOf(part))
      at.part = part
      at.stray = null
      const last = before.find(one => one.kind === part.kind && one.name === part.name) ?? null
      ends.push(await doPart({ run, db, token, loaded, watchdog, stop, at, done: index, total: parts.length }, part, last))
      at.part = null
    }
    if (lost.aborted) throw new CronLockLost()
    if (stop.aborted && (ends.length < parts.length || ends.at(-1)?.outcome === 'interrupted'))
      return { kind: 'interrupted', sentence: `Stopped after ${ends.length} of ${parts.length}; the next run goes on from there.` }
    run.progress(parts.length, parts.length, '')
    await closeCronRun(db, token, run.taskId)
    // What was done by an earlier run of this task counts too.
    const all = (await listParts(db)).filter(part => isOf(part, begun))
    return summary(all, broken)
  } catch (error) {
    if (error instanceof CronLockLost || lost.aborted) return { kind: 'lost', sentence: lostSentence }
    throw error
  } finally {
    undo()
    await lock.held.release()
  }
}

const lostSentence =
  'Another process has taken cron over, or may have, since the database could not be told for seconds that this one lives; this one stops. What it was at is done by the next run.'

interface Place {
  part: PartToDo | null
  /** What nobody caught while it was at the part. */
  stray: string | null
}

interface Tools {
  run: CronRun
  db: Db
  /** Of the lock, that what is written is held against. */
  token: string
  loaded: LoadedModules
  watchdog: Watchdog
  stop: AbortSignal
  at: Place
  done: number
  total: number
}

interface PartEnd {
  outcome: NonNullable<CronPart['outcome']>
  error: string | null
  done?: number
  failed?: number
  setAside?: number
}

const doPart = async (tools: Tools, part: PartToDo, last: CronPart | null): Promise<PartEnd> => {
  const { run, db, token } = tools
  const { taskId, number, log } = run
  const from = performance.now()
  if (last !== null && last.endedAt === null) log.warn(`${nameOf(part)} is tried again: the process ended while it was at work last time`)
  log(`${nameOf(part)} begins`)
  await beginPart(db, token, { ...part, taskId, number, startedAt: Date.now() })
  const end = await (part.kind === 'hook' ? callHook(tools, part, last) : workQueue(tools, part))
  const error = end.error ?? tools.at.stray
  const outcome = end.outcome === 'done' && tools.at.stray !== null ? 'failed' : end.outcome
  const whole = { ...end, outcome, error }
  await endPart(db, token, { ...part, taskId, number }, { ...whole, error: error === null ? null : cut(error), endedAt: Date.now() })
  const tookMs = Math.round(performance.now() - from)
  const items = part.kind === 'queue' ? { done: end.done ?? 0, failed: end.failed ?? 0, setAside: end.setAside ?? 0 } : {}
  if (outcome === 'failed') log.error(`${nameOf(part)} failed: ${error}`, { ms: tookMs, ...items })
  else log(`${nameOf(part)} ${outcome === 'interrupted' ? 'was interrupted' : 'is done'}`, { ms: tookMs, ...items })
  return whole
}

const callHook = async (tools: Tools, part: PartToDo, last: CronPart | null): Promise<PartEnd> => {
  const { loaded } = tools
  const { hookMs } = loaded.modules.find(({ name }) => name === part.module)!
  const goodAt = last?.goodAt ?? null
  const called = await within(tools, part, hookMs, shared =>
    loaded.hookOf(part.module)({ ...shared, lastRunAt: goodAt } satisfies CronContext),
  )
  if (called.kind === 'returned') return { outcome: 'done', error: null }
  if (called.kind === 'interrupted') return { outcome: 'interrupted', error: null }
  if (called.kind === 'late')
    return { outcome: 'failed', error: `It did not end within ${hookMs / 1000} s. The rest of cron goes on without it.` }
  console.error(called.error)
  return { outcome: 'failed', error: messageOf(called.error) }
}

const workQueue = async (tools: Tools, part: PartToDo): Promise<PartEnd> => {
  const { run, db, token, loaded, stop } = tools
  const queue = loaded.queues.find(({ name }) => name === part.name)!
  const from = performance.now()
  const counts = { done: 0, failed: 0, setAside: 0 }
  let error: string | null = null
  let place: QueuePlace | undefined
  const end = (outcome: PartEnd['outcome']): PartEnd => ({ outcome, error, ...counts })
  while (!stop.aborted && performance.now() - from < queue.timeMs) {
    const item = await claimItem(db, queue.name, {
      now: Date.now(),
      leaseMs: queue.leaseMs + 10_000,
      cron: token,
      ...(place ? { after: place } : {}),
    })
    if (item === null) return end('done')
    place = item.place
    // Only a process that died leaves one that has failed too often where it can be claimed.
    const worked = item.failures > queue.maxFailures ? null : await workItem(tools, part, queue, item)
    const did = worked === null ? await giveUp(db, queue, item, null) : await settle(tools, queue, item, worked)
    if (did.kind === 'done') counts.done++
    if (did.kind === 'failed') counts.failed++
    if (did.kind === 'aside') counts.setAside++
    error = did.error ?? error
    if (did.kind === 'interrupted') return end('interrupted')
    if (did.kind === 'suspended') return end('done')
    run.progress(tools.done, tools.total, `${nameOf(part)}: ${counts.done.toLocaleString('en')} done`)
  }
  if (stop.aborted) return end('interrupted')
  const overMs = performance.now() - from - queue.timeMs
  if (overMs > 1_000)
    run.log.warn(
      `queue ${queue.name} took ${(overMs / 1000).toFixed(1)} s more than its ${queue.timeMs / 1000} s: its last item began in time and was long`,
    )
  return end('done')
}

type Called = { kind: 'returned' } | { kind: 'late' } | { kind: 'interrupted' } | { kind: 'threw'; error: unknown }

const workItem = (tools: Tools, part: PartToDo, queue: QueueFacts, item: StoredItem): Promise<Called> =>
  within(tools, part, queue.leaseMs, shared => {
    // Failures before this try, which was counted when it was claimed.
    const shown = shownItem<unknown>({ ...item, failures: item.failures - 1 })
    return tools.loaded.workerOf(queue.name)(item.data, { ...shared, item: shown } satisfies WorkerContext)
  })

interface Settled {
  kind: 'done' | 'failed' | 'aside' | 'suspended' | 'requeued' | 'interrupted' | 'lost'
  error: string | null
}

const settle = async (tools: Tools, queue: QueueFacts, item: StoredItem & { place: QueuePlace }, called: Called): Promise<Settled> => {
  const { run, db } = tools
  const held = { id: item.id, claim: item.claim! }
  const about = `item ${item.id} of ${queue.name}`
  const before = item.failures - 1
  if (called.kind === 'returned') {
    if (await deleteItem(db, held)) return { kind: 'done', error: null }
    run.log.warn(`${about} took longer than its lease, and somebody else has claimed it meanwhile`)
    return { kind: 'lost', error: null }
  }
  if (called.kind === 'interrupted') {
    await putBack(db, held, { freeAt: item.createdAt, failures: before })
    return { kind: 'interrupted', error: null }
  }
  const signal = called.kind === 'threw' ? signalOf(called.error) : null
  if (signal) return obey(run, db, queue, item, signal, called as { error: Error })
  const error =
    called.kind === 'late' ? `It did not end within ${queue.leaseMs / 1000} s.` : messageOf((called as { error: unknown }).error)
  if (called.kind === 'threw') console.error(called.error)
  if (item.failures >= queue.maxFailures) return giveUp(db, queue, item, error, run.log)
  run.log.warn(`${about} failed and stays for a later run: ${error}`, { failures: item.failures })
  await putBack(db, held, { freeAt: item.place.freeAt, failures: item.failures, error: cut(error), failedAt: Date.now() })
  return { kind: 'failed', error }
}

const obey = async (
  { log }: CronRun,
  db: Db,
  queue: QueueFacts,
  item: StoredItem & { place: QueuePlace },
  { suspend, delayMs }: QueueSignal,
  { error }: { error: Error },
): Promise<Settled> => {
  const freeAt = suspend ? item.place.freeAt : Date.now() + delayMs
  await putBack(db, { id: item.id, claim: item.claim! }, { freeAt, failures: item.failures - 1 })
  const why = error.message ? `: ${error.message}` : ''
  if (suspend) log.warn(`queue ${queue.name} is suspended until a later run${why}`)
  else log(`item ${item.id} of ${queue.name} goes back${delayMs > 0 ? ` for ${delayMs / 1000} s` : ''}${why}`)
  return { kind: suspend ? 'suspended' : 'requeued', error: null }
}

const giveUp = async (db: Db, queue: QueueFacts, item: StoredItem, error: string | null, log?: CronLog): Promise<Settled> => {
  await setAside(db, { id: item.id, claim: item.claim! }, { now: Date.now(), ...(error === null ? {} : { error: cut(error) }) })
  const why = error ?? item.error ?? 'It failed too often.'
  log?.error(`item ${item.id} of ${queue.name} failed ${queue.maxFailures} times and is set aside: ${why}`)
  return { kind: 'aside', error: why }
}

type SharedContext = Omit<CronContext, 'lastRunAt'>

/** Calls code of a module, and waits so long for its end. What does not even yield is ended, with this process, by the watchdog. */
const within = async (
  { run, watchdog, stop, at }: Tools,
  part: PartToDo,
  limitMs: number,
  call: (shared: SharedContext) => unknown,
): Promise<Called> => {
  const late = new AbortController()
  const signal = AbortSignal.any([stop, late.signal])
  let watched = false
  const shared = Object.defineProperty(
    {
      module: part.module,
      log: run.log,
      secret: run.secret,
      addTask: run.addTask,
      queue: name => queueOf(name, async () => run.background),
      db: run.kysely,
    } as SharedContext,
    'signal',
    {
      enumerable: true,
      get: () => {
        watched = true
        return signal
      },
    },
  )
  const { promise: isLate, resolve } = Promise.withResolvers<Called>()
  const timer = setTimeout(() => {
    late.abort(new Error(`${limitMs / 1000} s are over`))
    resolve({ kind: 'late' })
  }, limitMs)
  watchdog.watch(at.part ? nameOf(at.part) : part.name, limitMs)
  try {
    const called = (async (): Promise<Called> => {
      try {
        await call(shared)
        return stop.aborted && watched ? { kind: 'interrupted' } : { kind: 'returned' }
      } catch (error) {
        return stop.aborted ? { kind: 'interrupted' } : { kind: 'threw', error }
      }
    })()
    return await Promise.race([called, isLate])
  } finally {
    clearTimeout(timer)
    watchdog.rest()
  }
}

const isLoadable = ({ hook, queues, error }: ModuleFacts) => error === null || hook || queues.length > 0

/** @returns how many modules are left out, or have something that cannot be used */
const tellBroken = ({ log }: CronRun, described: readonly ModuleFacts[], loaded: readonly ModuleFacts[]): number => {
  const broken = described.map(module => loaded.find(({ name }) => name === module.name) ?? module).filter(({ error }) => error !== null)
  for (const { name, error } of broken) log.error(`the module ${name} cannot be used: ${error}`)
  return broken.length
}

const nameOf = (part: PartToDo | null) => (part === null ? 'cron' : `${part.kind} ${part.name}`)

const summary = (parts: readonly CronPart[], broken: number): CronEnd => {
  const hooks = parts.filter(({ kind }) => kind === 'hook')
  const sum = (of: (part: CronPart) => number) => parts.reduce((total, part) => total + of(part), 0)
  const failing = hooks.filter(({ outcome }) => outcome === 'failed')
  const [done, failed, aside] = [sum(part => part.done), sum(part => part.failed), sum(part => part.setAside)]
  const badQueues = parts.filter(({ kind, outcome }) => kind === 'queue' && outcome === 'failed')
  const said = [
    counted(hooks.length, 'hook'),
    failing.length > 0 ? `of which ${failing.map(({ name }) => name).join(', ')} failed` : null,
    `${counted(done, 'item')} done`,
    failed > 0 ? `${failed.toLocaleString('en')} failed and stay` : null,
    aside > 0 ? `${aside.toLocaleString('en')} set aside` : null,
    broken > 0 ? `${counted(broken, 'module')} cannot be used` : null,
  ].filter(part => part !== null)
  const isBad = failing.length > 0 || badQueues.length > 0 || aside > 0 || broken > 0
  return { kind: isBad ? 'failed' : 'done', sentence: `${said.join(', ')}.` }
}

const counted = (n: number, word: string) => `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`

const cut = (text: string) => text.toWellFormed().replaceAll('\0', '\ufffd').slice(0, 4_000)
