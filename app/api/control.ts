import { rmSync } from 'node:fs'
import { BgtaskError } from '../errors.ts'
import { ring } from '../runs/doorbell.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { findTask, findTaskByKey } from '../store/find-task.ts'
import { returnTask as storeReturn } from '../store/return-task.ts'
import {
  moveDue,
  runNow,
  cancelTask as storeCancel,
  cancelByKey as storeCancelByKey,
  deleteTask as storeDelete,
  retryTask as storeRetry,
  wishDown,
  wishFresh,
  wishUp,
} from '../store/wishes.ts'
import { runName } from '../task/run.ts'
import { EXEC_TYPE_FOREVER, isFinal, type Json, type Task } from '../task/task.ts'
import { type Sentence, stateWord, told } from '../task/told.ts'
import type { Actor } from './audited.ts'
import type { Background } from './background.ts'
import { type Reach, requireReachOfTask } from './command-reach.ts'
import { showValue } from './show-value.ts'

/** What these need of an open background. */
type Tools = Pick<Background, 'config' | 'db'>

/**
 * Each writes a wish, rings the supervisor on this host, and returns the task as it stands then; the facts follow.
 * @throws BgtaskError `not-found`; `busy` when the task's state does not allow it, saying what does
 */
export const startTask = async (tools: Tools, id: number, by: string): Promise<Task> => {
  await loop(tools, id, told`start`)
  await wishUp(tools.db, id, by, Date.now())
  return rung(tools, id)
}

/** A loop ends after its current iteration and stays down. */
export const stopTask = async (tools: Tools, id: number, by: string): Promise<Task> => {
  await loop(tools, id, told`stop`)
  await wishDown(tools.db, id, by, Date.now())
  return rung(tools, id)
}

/** A loop gets a fresh process, also when it runs, backs off or is tripped. */
export const restartTask = async (tools: Tools, id: number, by: string): Promise<Task> => {
  await loop(tools, id, told`restart`)
  await wishFresh(tools.db, id, by, Date.now())
  return rung(tools, id)
}

/** A waiting ONCE task is due now; a loop gets a fresh process now. */
export const runTaskNow = async (tools: Tools, id: number, by: string, reach?: Reach): Promise<Task> => {
  const task = await existing(tools, id)
  await requireReachOfTask(tools.config, task, reach)
  if (task.execType === EXEC_TYPE_FOREVER) return restartTask(tools, id, by)
  if (task.state !== 'waiting')
    throw busy(task, told`only a waiting one can be run now`, task.state === 'running' ? told`It runs.` : told`Retry it instead.`)
  if (!(await runNow(tools.db, id, by, Date.now()))) {
    throw busy(await existing(tools, id), told`it waits for the end of the task that it replaces`, told`It runs then.`)
  }
  return rung(tools, id)
}

/** A waiting ONCE task is cancelled at once, a running one is stopped; a loop is stopped. */
export const cancelTask = async (tools: Tools, id: number, by: string): Promise<Task> => {
  const task = await existing(tools, id)
  if (task.execType === EXEC_TYPE_FOREVER) return stopTask(tools, id, by)
  const done = await storeCancel(tools.db, id, by, Date.now())
  if (done === null) throw notFound(id)
  if (done === 'already-final')
    throw busy(await existing(tools, id), told`only a waiting or running one can be cancelled`, told`Nothing is left to do.`)
  return rung(tools, id)
}

/**
 * The same for whatever holds the unique key, and for the task that was to follow it (keepLast).
 * @returns the task that held it, as it stands then
 * @throws BgtaskError `not-found` when nothing holds it
 */
export const cancelByKey = async (tools: Tools, unique: string, by: string): Promise<Task> => {
  const done = await storeCancelByKey(tools.db, unique, by, Date.now())
  if (!done) throw freeKey(unique)
  return rung(tools, done.holder)
}

/** @throws BgtaskError `not-found` when nothing holds the unique key */
export const holderOf = async ({ db }: Pick<Tools, 'db'>, unique: string): Promise<Task> => {
  const holder = await findTaskByKey(db, unique)
  if (!holder) throw freeKey(unique)
  return holder
}

/**
 * Another due time for a waiting ONCE task.
 * @param runAt milliseconds since 1970; what has passed means now
 */
export const moveTask = async (tools: Tools, id: number, runAt: number, by: string, reach?: Reach): Promise<Task> => {
  await requireReachOfTask(tools.config, await existing(tools, id), reach)
  if (await moveDue(tools.db, id, runAt, by)) return rung(tools, id)
  const task = await existing(tools, id)
  throw busy(
    task,
    told`only a waiting once-task has a due time to move`,
    task.execType === EXEC_TYPE_FOREVER
      ? told`A loop starts when it is wanted up.`
      : isFinal(task.state)
        ? told`Retry it, or add a new one.`
        : told`It has begun.`,
  )
}

/**
 * A final ONCE task waits again, with all its tries, and is due now; a loop gets a fresh process.
 * @param reach of whoever asks: a command is run again only by those who may run it
 */
export const retryTask = async (tools: Tools, id: number, by: string, reach?: Reach): Promise<Task> => {
  const task = await existing(tools, id)
  await requireReachOfTask(tools.config, task, reach)
  if (task.execType === EXEC_TYPE_FOREVER) return restartTask(tools, id, by)
  if (!isFinal(task.state))
    throw busy(task, told`only a succeeded, failed or cancelled one can be retried`, told`Cancel it first, or wait for its end.`)
  if (!(await storeRetry(tools.db, id, by, Date.now())))
    throw busy(await existing(tools, id), told`it has changed meanwhile`, told`Look at it again.`)
  return rung(tools, id)
}

/**
 * Undoes that a waiting ONCE task was cancelled: it waits as it did, due when it was due.
 * @param reach as of retryTask
 */
export const returnTask = async (tools: Tools, id: number, by: string, reach?: Reach): Promise<Task> => {
  const task = await existing(tools, id)
  await requireReachOfTask(tools.config, task, reach)
  if (!(await storeReturn(tools.db, id, by, Date.now())))
    throw busy(
      await existing(tools, id),
      told`only one that was cancelled while it waited can be put back`,
      isFinal(task.state) ? told`Retry it instead.` : told`Nothing is left to do.`,
    )
  return rung(tools, id)
}

/**
 * Adds a task like this one: a new id, no unique key, due now; a loop starts at once. Checked like any other, since its action may have changed.
 * @param options.params instead of the old ones
 * @param options.actor whose act it is, for the audit
 */
export const cloneTask = async (
  background: Background,
  id: number,
  by: string,
  { params, actor }: { params?: Json; actor?: Actor } = {},
): Promise<Task> => {
  const old = await existing(background, id)
  const { action, execType, type, creator, priority, maxAttempts, timeoutMs, graceMs, rerunAfterCrash } = old
  const options = { execType, type, creator, priority, maxAttempts, timeoutMs, graceMs, rerunAfterCrash }
  const wish = { action, params: params === undefined ? old.params : params, options }
  const audit = actor && { actor: { ...actor, act: 'task-clone', detail: `like task ${id}` } }
  const [stored] = await background.storeTasks([wish], { by, ...audit })
  return stored!.task
}

/** Deletes a final ONCE task, or a stopped loop, with its runs and their output. */
export const deleteTask = async ({ config, db }: Tools, id: number): Promise<void> => {
  const task = await existing({ db }, id)
  if (!(await storeDelete(db, id)))
    throw busy(task, told`only an ended task or a stopped loop can be deleted`, told`Cancel or stop it first.`)
  const paths = runtimePaths(config.runtime)
  // The newest thousand: what is older was pruned, or will be.
  for (let number = task.number; number > 0 && number > task.number - 1000; number--) {
    rmSync(paths.run(runName(id, number)).folder, { recursive: true, force: true })
  }
}

/** @throws BgtaskError `not-found` */
export const existing = async ({ db }: Pick<Tools, 'db'>, id: number): Promise<Task> => {
  const task = await findTask(db, id)
  if (!task) throw notFound(id)
  return task
}

const loop = async (tools: Tools, id: number, verb: Sentence): Promise<Task> => {
  const task = await existing(tools, id)
  if (task.execType === EXEC_TYPE_FOREVER) return task
  throw new BgtaskError(
    'busy',
    told`Task ${id} is a ONCE task, and only a loop can be told to ${verb}. For it there are run now, cancel and retry.`,
  )
}

const rung = async (tools: Tools, id: number): Promise<Task> => {
  ring(tools.config.runtime)
  return existing(tools, id)
}

const freeKey = (unique: string) =>
  new BgtaskError('not-found', told`No task holds the unique key ${showValue(unique)}: it is free, or was never used.`)

const notFound = (id: number) => new BgtaskError('not-found', told`Task ${id} does not exist.`)

const busy = (task: Task, rule: Sentence, next: Sentence) =>
  new BgtaskError('busy', told`Task ${task.id} is ${stateWord(task.state)}; ${rule}. ${next}`)
