import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { CompiledQuery } from 'kysely'
import { claimTasks } from '../../app/store/claim-task.ts'
import { countTasks } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { endOnceMany } from '../../app/store/end-once.ts'
import type { OnConflict } from '../../app/store/insert-task.ts'
import { listDue, promoteDue } from '../../app/store/list-due.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import { isFinal, type Reason, type TaskState } from '../../app/task/task.ts'
import { runEnd } from './run-end.ts'

/** What a process of test/store/key-fuzzer.ts says of one operation. */
export type Said =
  | {
      did: 'add'
      onConflict: OnConflict
      key: string
      stamp: string
      id: number
      added: boolean
      updated: boolean
      replaced: number | null
    }
  | { did: 'conflict'; onConflict: OnConflict; key: string }
  | { did: 'claim'; id: number; number: number; stamp: string; stored: string; beside: number[] }
  | { did: 'end'; id: number; number: number; recorded: string }
  | { did: 'cancel'; ids: number[] }
  | { did: 'retry'; id: number }
  | { did: 'busy' }
  | { did: 'error'; message: string }

export interface KeyFuzz {
  /** What must not be: empty when all is well. */
  wrong: string[]
  /** How often each thing happened. */
  figures: Record<string, number>
}

const fuzzer = fileURLToPath(new URL('../store/key-fuzzer.ts', import.meta.url))

/**
 * Many processes do all that can be done to tasks with a few unique keys, and what they were answered is held against the tables:
 * no key is held twice at any time, and each task that was added is there and ended as the answers say.
 * @param options.operations in all
 * @param options.told called now and then with the operations done so far
 */
export const fuzzKeys = async (
  db: Db,
  options: { seed: number; operations: number; processes: number; keys: number; told?: (done: number) => void },
): Promise<KeyFuzz> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-fuzz-keys-'))
  const watch = watchTables(db)
  try {
    const files = Array.from({ length: options.processes }, (_, n) => join(folder, `${n}.jsonl`))
    let done = 0
    const beganAt = performance.now()
    await Promise.all(
      files.map(async (file, n) => {
        const each = Math.ceil(options.operations / options.processes)
        const args = [fuzzer, db.url, `p${n}`, String(options.seed + n), String(each), String(options.keys), file]
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
        child.stdout.on('data', (dots: Buffer) => {
          done += dots.length * 100
          options.told?.(done)
        })
        const [code] = (await once(child, 'exit')) as [number | null]
        if (code !== 0) throw new Error(`A process of the fuzz left with ${code}; its seed was ${options.seed + n}.`)
      }),
    )
    const tookMs = Math.round(performance.now() - beganAt)
    await drain(db)
    const said = files.flatMap(readSaid)
    const { looks, wrong } = await watch.end()
    const found = await holdAgainst(db, said)
    return { wrong: [...wrong, ...found.wrong], figures: { ...found.figures, looks, tookMs } }
  } finally {
    await watch.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

const readSaid = (file: string): Said[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .trimEnd()
        .split('\n')
        .map(line => JSON.parse(line) as Said)
    : []

/** Looks at the tables while all the others write: each of these finds a row only when a promise is broken. */
const watchTables = (db: Db) => {
  const never = {
    'two that run have the key':
      "SELECT unique_key AS what FROM bg_task WHERE state = 'running' AND unique_key IS NOT NULL GROUP BY unique_key HAVING COUNT(*) > 1",
    'two hold the key': 'SELECT unique_key AS what FROM bg_task WHERE held_key IS NOT NULL GROUP BY unique_key HAVING COUNT(*) > 1',
    'two follow the holder of the key':
      'SELECT unique_key AS what FROM bg_task WHERE next_key IS NOT NULL GROUP BY unique_key HAVING COUNT(*) > 1',
    'one follows where nobody holds the key':
      'SELECT unique_key AS what FROM bg_task n WHERE next_key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM bg_task h WHERE h.held_key = n.next_key)',
    'one that has ended holds a key':
      "SELECT id AS what FROM bg_task WHERE (held_key IS NOT NULL OR next_key IS NOT NULL) AND state IN ('succeeded', 'failed', 'cancelled')",
  }
  const wrong = new Set<string>()
  let looks = 0
  let over = false
  const watching = (async () => {
    while (!over) {
      for (const [what, sql] of Object.entries(never)) {
        const { rows } = await db.kysely.executeQuery<{ what: string }>(CompiledQuery.raw(sql))
        for (const row of rows) wrong.add(`${what}: ${row.what}`)
      }
      looks++
      await sleep(50)
    }
  })()
  return {
    async end() {
      over = true
      await watching
      return { looks, wrong: [...wrong] }
    },
  }
}

/** Runs what still waits, until nothing does. */
const drain = async (db: Db) => {
  for (;;) {
    await promoteDue(db, Date.now() + 3_600_000, 500)
    const due = await listDue(db, 100)
    if (due.length === 0) return
    const claimed = await claimTasks(db, due, { host: 'drain', epoch: 'drain' }, Date.now())
    const end = runEnd('succeeded', Date.now())
    await endOnceMany(
      db,
      claimed.map(({ id, number }) => ({
        taskId: id,
        number,
        end,
        decide: task => afterOnce(task, end, Date.now(), 0),
      })),
    )
  }
}

const holdAgainst = async (db: Db, said: readonly Said[]): Promise<KeyFuzz> => {
  const wrong: string[] = []
  const must = (is: boolean, sentence: () => string) => {
    if (!is && wrong.length < 50) wrong.push(sentence())
  }
  const of = <Did extends Said['did']>(did: Did) => said.filter((one): one is Extract<Said, { did: Did }> => one.did === did)
  const adds = of('add')
  const rows = await db.kysely.selectFrom('bg_task').selectAll().execute()
  const byId = new Map(rows.map(row => [Number(row.id), row]))
  for (const { message } of of('error')) must(false, () => `an operation failed: ${message}`)

  const added = new Map(adds.filter(one => one.added).map(one => [one.id, one]))
  must(added.size === adds.filter(one => one.added).length, () => 'one id was given twice')
  must(added.size === rows.length, () => `${added.size} tasks were added, and there are ${rows.length}`)
  const stampsOf = new Map<number, Set<string>>()
  const updates = new Map<number, number>()
  for (const { id, key, stamp, added: isNew, updated } of adds) {
    const row = byId.get(id)
    must(row !== undefined, () => `task ${id} was answered and is not there`)
    must(row?.unique_key === key, () => `task ${id} was answered for ${key} and has ${row?.unique_key}`)
    if (updated) updates.set(id, (updates.get(id) ?? 0) + 1)
    if (isNew || updated) stampsOf.set(id, (stampsOf.get(id) ?? new Set()).add(stamp))
  }

  const claims = of('claim')
  const claimsOf = Map.groupBy(claims, ({ id }) => id)
  must(new Set(claims.map(({ id, number }) => `${id}-${number}`)).size === claims.length, () => 'a run was claimed twice')
  for (const { id, number, stamp, stored, beside } of claims) {
    must(stamp === stored, () => `run ${id}-${number} began with the params ${stamp}, and the row had ${stored}`)
    must(beside.length === 0, () => `run ${id}-${number} began while ${beside} ran with the same key`)
  }
  for (const { id, number, recorded } of of('end')) must(recorded === 'recorded', () => `the end of ${id}-${number} was ${recorded}`)

  const cancels = new Set(of('cancel').flatMap(({ ids }) => ids))
  const retried = new Set(of('retry').map(({ id }) => id))
  const replacedBy = new Map(adds.flatMap(({ replaced, id }) => (replaced === null ? [] : [[replaced, id] as const])))
  for (const row of rows) {
    const id = Number(row.id)
    const { stamp } = JSON.parse(row.params) as { stamp: string }
    const reason = JSON.parse(row.reason!) as Reason
    must(isFinal(row.state as TaskState), () => `task ${id} is ${row.state} in the end`)
    must(row.held_key === null && row.next_key === null && row.after_id === null && row.due === null, () => `task ${id} has not let go`)
    must(
      Number(row.superseded) === (updates.get(id) ?? 0),
      () => `task ${id} counts ${row.superseded} of ${updates.get(id) ?? 0} overwritten`,
    )
    must(stampsOf.get(id)?.has(stamp) ?? false, () => `task ${id} has the params ${stamp}, which nobody gave it`)
    for (const one of claimsOf.get(id) ?? []) must(one.stamp === stamp, () => `task ${id} ran with ${one.stamp} and has ${stamp}`)
    if (row.state === 'cancelled' && reason.code === 'replaced') {
      const newer = byId.get(Number(reason.detail))
      must(newer?.unique_key === row.unique_key, () => `task ${id} was replaced by ${reason.detail}, which is none of its key`)
    } else if (row.state === 'cancelled') must(cancels.has(id), () => `task ${id} was cancelled, and nobody asked for it (${reason.code})`)
    else must(Number(row.number) > 0, () => `task ${id} is ${row.state} and has not run`)
  }
  for (const [old, newer] of replacedBy) {
    const row = byId.get(old)
    const reason = row && (JSON.parse(row.reason!) as Reason)
    const isTold = row?.state !== 'cancelled' || (reason?.code === 'replaced' && Number(reason.detail) >= newer)
    must(isTold || retried.has(old), () => `task ${old} was replaced by ${newer}, and says ${reason?.code} ${reason?.detail}`)
  }
  const runs = await db.kysely.selectFrom('bg_run').select(['task_id', 'outcome']).execute()
  must(
    runs.every(({ outcome }) => outcome !== null),
    () => 'a run has no end',
  )
  const states = Object.fromEntries(
    ['succeeded', 'failed', 'cancelled'].map(state => [state, rows.filter(row => row.state === state).length]),
  )
  const counts = await countTasks(db)
  for (const state of ['succeeded', 'failed', 'cancelled'] as const)
    must(counts[state] === states[state], () => `the counters say ${counts[state]} ${state}, and there are ${states[state]}`)
  return {
    wrong,
    figures: {
      answers: said.length,
      adds: adds.length,
      added: added.size,
      updated: adds.filter(one => one.updated).length,
      kept: adds.filter(one => !one.added && !one.updated).length,
      replaced: replacedBy.size,
      conflicts: of('conflict').length,
      claims: claims.length,
      runs: runs.length,
      cancels: cancels.size,
      retries: of('retry').length,
      busy: of('busy').length,
      ...states,
    },
  }
}
