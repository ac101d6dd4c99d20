import { rmSync } from 'node:fs'
import { BgtaskError } from '../errors.ts'
import { ring } from '../runs/doorbell.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { type Bulk, type BulkAct, findBulk, sliceItems } from '../store/bulk.ts'
import {
  type Changed,
  cancelMany,
  deleteMany,
  type ManyStep,
  putBackMany,
  restartMany,
  runMany,
  startMany,
  stopMany,
} from '../store/change-many.ts'
import { runName } from '../task/run.ts'
import type { Background } from './background.ts'
import { leaveRoom, rowsAtOnce, runsKept } from './leave-room.ts'
import { countMatching, matchingTasks } from './matching-tasks.ts'

/**
 * Does what was asked of the task with this id, a few hundred tasks in a transaction. Done once more after a stop or a crash, it goes on with those
 * that are left.
 * @returns in a sentence what was done
 * @throws BgtaskError `refused` when nobody asked for anything
 */
export const carryOutBulk = async (
  tools: Pick<Background, 'config' | 'db'>,
  id: number,
  { signal, progress }: { signal: AbortSignal; progress(done: number, total: number | null): void },
): Promise<{ done: number; held: number; sentence: string }> => {
  const { config, db } = tools
  const bulk = await findBulk(db, id)
  if (!bulk)
    throw new BgtaskError(
      'refused',
      'Nobody has asked this task for anything. It is added on the list of tasks, where all that match are stopped, say.',
    )
  const total = bulk.undoOf === null ? await totalOf(tools, bulk) : null
  let done = 0
  let held = 0
  let seen = 0
  const some = rowsAtOnce[db.dialect]
  for await (const slice of bulk.undoOf === null ? matchingTasks(config, db, bulk.filter, bulk.upTo + 1) : changedBy(tools, bulk.undoOf)) {
    for (let from = 0; from < slice.length && !signal.aborted; from += some) {
      const began = performance.now()
      const ids = slice.slice(from, from + some)
      const { changed, held: more } = await step(tools, bulk, ids)
      done += changed
      held += more
      seen += ids.length
      progress(seen, total)
      ring(config.runtime)
      await leaveRoom(db, performance.now() - began)
    }
    if (signal.aborted) break
  }
  return { done, held, sentence: sentenceOf(bulk, done, held) }
}

const totalOf = async ({ config, db }: Pick<Background, 'config' | 'db'>, { filter, upTo }: Bulk): Promise<number | null> => {
  const { count, isAll } = await countMatching(config, db, filter, { before: upTo + 1 })
  return isAll ? count : null
}

async function* changedBy({ db }: Pick<Background, 'db'>, of: number): AsyncGenerator<number[]> {
  let after = 0
  for (;;) {
    const ids = await sliceItems(db, of, { after, atOnce: 2_000 })
    if (ids.length === 0) return
    yield ids
    after = ids.at(-1)!
  }
}

const step = async ({ config, db }: Pick<Background, 'config' | 'db'>, bulk: Bulk, ids: readonly number[]): Promise<Changed> => {
  const one: ManyStep = { bulkId: bulk.id, by: `#${bulk.id}`, now: Date.now() }
  if (bulk.undoOf !== null) return putBackMany(db, ids, { ...one, of: bulk.undoOf, act: bulk.act })
  if (bulk.act !== 'deletion') return changes[bulk.act](db, ids, one)
  const gone = await deleteMany(db, ids, one.now)
  const paths = runtimePaths(config.runtime)
  for (const { id, number } of gone)
    for (let run = number; run > 0 && run > number - runsKept; run--)
      rmSync(paths.run(runName(id, run)).folder, { recursive: true, force: true })
  return { changed: gone.length, held: 0 }
}

const changes = {
  start: startMany,
  stop: stopMany,
  restart: restartMany,
  cancellation: cancelMany,
  run: runMany,
} as const satisfies Record<Exclude<BulkAct, 'deletion'>, unknown>

const sentenceOf = ({ act, undoOf }: Bulk, done: number, held: number): string => {
  const number = (value: number) => value.toLocaleString('en')
  const some = (noun: string) => `${number(done)} ${noun}${done === 1 ? '' : 's'}`
  const left = held > 0 ? `\n${number(held)} left alone, since other tasks have their unique keys by now` : ''
  return (undoOf !== null ? `put back ${some('task')}` : did[act](some)) + left
}

const did = {
  start: some => `started ${some('loop')}`,
  stop: some => `stopped ${some('loop')}`,
  restart: some => `restarted ${some('loop')}`,
  cancellation: some => `cancelled ${some('task')}`,
  run: some => `had ${some('task')} run`,
  deletion: some => `deleted ${some('task')}`,
} as const satisfies Record<BulkAct, (some: (noun: string) => string) => string>
