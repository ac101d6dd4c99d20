import { appendFileSync } from 'node:fs'
import { BgtaskError, messageOf } from '../../app/errors.ts'
import { claimTasks } from '../../app/store/claim-task.ts'
import { isAway, openDatabase } from '../../app/store/database.ts'
import { endOnceMany } from '../../app/store/end-once.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertTasks, type OnConflict } from '../../app/store/insert-task.ts'
import { listDue, promoteDue } from '../../app/store/list-due.ts'
import { returnTask } from '../../app/store/return-task.ts'
import { cancelByKey, cancelTask, moveDue, retryTask } from '../../app/store/wishes.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import type { OutcomeKind } from '../../app/task/outcome.ts'
import { isFinal, type Task } from '../../app/task/task.ts'
import type { Said } from '../helpers/fuzz-keys.ts'
import { randomFrom } from '../helpers/random.ts'
import { runEnd } from '../helpers/run-end.ts'
import { newTask } from './new-task.ts'

// One of several processes that do everything there is to do to tasks with unique keys, all at once: what callers, people and
// supervisors do. It writes down each answer; fuzz-keys.ts holds them against the tables. Driven by a seed.

const [url, name, seed, operations, keys, file] = process.argv.slice(2) as [string, string, string, string, string, string]
const db = await openDatabase(url)
const random = randomFrom(Number(seed))
const owner = { host: name, epoch: name }
const below = (most: number) => Math.floor(random() * most)
const one = <T>(list: readonly T[]): T => list[below(list.length)]!

const known: number[] = []
const running = new Map<number, Task>()
let lines: string[] = []
let stamps = 0

const say = (said: Said) => {
  lines.push(`${JSON.stringify(said)}\n`)
  if (lines.length >= 200) flush()
}
const flush = () => {
  if (lines.length > 0) appendFileSync(file, lines.join(''))
  lines = []
}

const add = async (onConflict: OnConflict) => {
  const key = `key ${below(Number(keys))}`
  const stamp = `${name}.${++stamps}`
  const now = Date.now()
  const wish = newTask({
    uniqueKey: key,
    onConflict,
    params: { stamp },
    runAt: random() < 0.7 ? now : now + below(60),
    priority: below(3),
    maxAttempts: 1 + below(3),
    by: name,
  })
  try {
    const [answer] = await insertTasks(db, [wish], { now })
    const { task, added, updated, replaced } = answer!
    known.push(task.id)
    if (known.length > 60) known.shift()
    say({ did: 'add', onConflict, key, stamp, id: task.id, added, updated, replaced })
  } catch (error) {
    if (!(error instanceof BgtaskError && error.code === 'conflict')) throw error
    say({ did: 'conflict', onConflict, key })
  }
}

const claim = async () => {
  await promoteDue(db, Date.now(), 500)
  const due = (await listDue(db, 12)).filter(() => random() < 0.4)
  if (due.length === 0) return
  const claimed = await claimTasks(db, due, owner, Date.now())
  for (const task of claimed) running.set(task.id, task)
  for (const task of claimed) {
    // From here on nobody may change its params, and no other with its key may run.
    const row = (await findTask(db, task.id))!
    const others = await db.kysely
      .selectFrom('bg_task')
      .select('id')
      .where('unique_key', '=', task.uniqueKey)
      .where('state', '=', 'running')
      .where('id', '<>', task.id)
      .execute()
    const { stamp } = task.params as { stamp: string }
    say({
      did: 'claim',
      id: task.id,
      number: task.number,
      stamp,
      stored: (row.params as { stamp: string }).stamp,
      beside: others.map(({ id }) => Number(id)),
    })
  }
}

const end = async (most: number) => {
  const ended = [...running.values()].slice(0, most)
  const outcomes = ended.map((): OutcomeKind => one(['succeeded', 'succeeded', 'failed', 'failed', 'killed', 'interrupted', 'cancelled']))
  const recorded = await endOnceMany(
    db,
    ended.map(({ id, number }, index) => {
      const outcome = runEnd(outcomes[index]!, Date.now())
      return {
        taskId: id,
        number,
        end: outcome,
        decide: task => {
          // A run says that it was cancelled when it was asked to stop, and never else.
          const said = { ...outcome, kind: outcome.kind === 'cancelled' && task.wanted === 'up' ? 'succeeded' : outcome.kind } as const
          const after = afterOnce(task, said, Date.now(), 0)
          // Its next try comes at once, since there is no time to wait for it.
          return isFinal(after.state) ? after : { ...after, runAt: Date.now() }
        },
      }
    }),
  )
  // Only what is recorded is forgotten, as a supervisor does it.
  for (const { id } of ended) running.delete(id)
  for (const [index, { id, number }] of ended.entries()) say({ did: 'end', id, number, recorded: recorded[index]! })
}

const acts: readonly (readonly [number, () => Promise<void>])[] = [
  [22, () => add('keepLast')],
  [12, () => add('replace')],
  [8, () => add('keep')],
  [6, () => add('reject')],
  [20, claim],
  [18, () => end(1 + below(3))],
  [4, async () => say({ did: 'cancel', ids: known.length > 0 ? await cancelled(one(known)) : [] })],
  [3, async () => say({ did: 'cancel', ids: await cancelledKey(`key ${below(Number(keys))}`) })],
  [4, () => again(retryTask)],
  [3, () => again(returnTask)],
  [3, async () => void (known.length > 0 && (await moveDue(db, one(known), Date.now() + below(80) - 20, name)))],
]

async function cancelled(id: number): Promise<number[]> {
  const done = await cancelTask(db, id, name, Date.now())
  return done === 'cancelled' || done === 'cancelling' ? [id] : []
}

async function cancelledKey(key: string): Promise<number[]> {
  const done = await cancelByKey(db, key, name, Date.now())
  return done ? [done.holder, ...(done.next === null ? [] : [done.next])] : []
}

async function again(act: typeof retryTask | typeof returnTask) {
  if (known.length === 0) return
  const id = one(known)
  try {
    if (await act(db, id, name, Date.now())) say({ did: 'retry', id })
  } catch (error) {
    if (!(error instanceof BgtaskError && error.code === 'conflict')) throw error
  }
}

const total = acts.reduce((sum, [weight]) => sum + weight, 0)
const choose = () => {
  let left = random() * total
  for (const [weight, act] of acts) {
    left -= weight
    if (left < 0) return act
  }
  return acts[0]![1]
}

for (let n = 1; n <= Number(operations); n++) {
  try {
    await choose()()
  } catch (error) {
    // A database that is too busy says so, and has done nothing: the tables are held against that too.
    say(isAway(error) ? { did: 'busy' } : { did: 'error', message: messageOf(error) })
  }
  if (n % 100 === 0) process.stdout.write('.')
}
while (running.size > 0) {
  await end(50).catch((error: unknown) => {
    if (!isAway(error)) throw error
  })
}
flush()
await db.close()
