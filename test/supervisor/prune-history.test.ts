import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openRuns } from '../../app/runs/open-runs.ts'
import { type Ticket, writeTicket } from '../../app/runs/ticket.ts'
import { appendAudit, checkAuditChain, listAudit } from '../../app/store/audit.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { endedEver, noteEnded } from '../../app/store/counters.ts'
import { endOnce } from '../../app/store/end-once.ts'
import { findTask } from '../../app/store/find-task.ts'
import { saveLoops } from '../../app/store/save-loops.ts'
import { transact } from '../../app/store/transact.ts'
import { createFolderPruner, type EndedFolder, foldersToRemove } from '../../app/supervisor/prune-folders.ts'
import { pruneHistory } from '../../app/supervisor/prune-history.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import { runEnd } from '../helpers/run-end.ts'
import { makeScene } from '../helpers/scene.ts'

const day = 86_400_000
const owner = { host: 'here', epoch: 'now' }
const silent = { info: () => {}, warn: () => {} }

test('old runs and tasks go, the last runs of a loop and what is still open stay', async t => {
  const scene = await makeScene(t)
  const { background, runtime } = scene
  const { db } = background
  const folder = (name: string, execType: 'ONCE' | 'FOREVER', ageDays: number) => {
    const path = join(runtime, 'runs', name)
    mkdirSync(path, { recursive: true })
    writeTicket(path, { execType } as Ticket)
    const at = (Date.now() - ageDays * day) / 1000
    utimesSync(path, at, at)
    return path
  }
  const end = (endedAt: number) => runEnd('succeeded', endedAt)

  const loop = await background.addTask('test/forever', {}, 'FOREVER')
  for (let number = 1; number <= 30; number++) {
    folder(`${loop.id}-${number}`, 'FOREVER', 30)
    const startedAt = Date.now() - 30 * day + number
    await saveLoops(db, owner, {
      facts: [{ taskId: loop.id, number, state: 'running', reason: null, runAt: startedAt, startedAt, finishedAt: null }],
      starts: [],
      ends: [{ taskId: loop.id, number, end: end(startedAt + 1) }],
    })
  }
  const ended = async (endedAt: number) => {
    const task = (await claimTask(db, await background.addTask('test/ok'), owner, endedAt - 5))!
    await endOnce(db, task.id, task.number, end(endedAt), row => afterOnce(row, end(endedAt), endedAt, 0))
    return task.id
  }
  const old = await ended(Date.now() - 8 * day)
  const young = await ended(Date.now() - 6 * day)
  const waiting = await background.addTask('test/ok')
  const oldFolder = folder(`${old}-1`, 'ONCE', 8)
  const youngFolder = folder(`${young}-1`, 'ONCE', 6)
  const openFolder = folder(`${waiting.id}-1`, 'ONCE', 8)
  openRuns(runtime).add(`${waiting.id}-1`)

  const config = { runtime, keepRuns: 2, keepDays: 7, keepAuditDays: 400, keepBytes: 1e9 }
  const oldDays = async () =>
    (await db.kysely.selectFrom('bg_counter').select('day').where('name', '=', 'ended').where('day', '>', 0).execute()).filter(
      row => row.day < Date.now() / day - 4,
    )
  await transact(db, trx => noteEnded(db, trx, [{ state: 'succeeded', n: 7 }], 'gone', Date.now() - 400 * day))
  const { succeeded } = await endedEver(db.kysely)
  assert.equal((await oldDays()).length, 1)
  await pruneHistory(config, db, silent)
  assert.deepEqual([await oldDays(), (await endedEver(db.kysely)).succeeded], [[], succeeded])
  await createFolderPruner(config, silent)()

  assert.deepEqual(
    readdirSync(join(runtime, 'runs'))
      .filter(name => name.startsWith(`${loop.id}-`))
      .sort(),
    [`${loop.id}-29`, `${loop.id}-30`],
  )
  assert.deepEqual([oldFolder, youngFolder, openFolder].map(existsSync), [false, true, true])
  assert.equal(await findTask(db, old), null)
  assert.notEqual(await findTask(db, young), null)
  assert.notEqual(await findTask(db, waiting.id), null)
  const numbers = (await scene.runs(loop.id)).map(run => run.number)
  assert.deepEqual(
    numbers,
    Array.from({ length: 20 }, (_, index) => 30 - index),
    'ten times as many rows',
  )
})

test('rows of the audit go once a day, and one row says how many', async t => {
  const { background, runtime } = await makeScene(t)
  openRuns(runtime)
  const { db } = background
  const config = { runtime, keepRuns: 2, keepDays: 7, keepAuditDays: 30 }
  const append = (ageDays: number) =>
    appendAudit(db, { at: Date.now() - ageDays * day, userName: 'eva', ip: null, via: 'form', act: 'login', subject: null, detail: null })
  const left = async () => (await listAudit(db, { limit: 10 })).map(({ act, subject }) => (subject === null ? act : `${act} ${subject}`))
  for (const age of [30.9, 30.8, 30.1, 29]) await append(age)
  await pruneHistory(config, db, silent)
  assert.equal((await left()).length, 4, 'none is a whole day too old, so nothing is worth a row')
  await pruneHistory({ ...config, keepAuditDays: 29.5 }, db, silent)
  assert.deepEqual(await left(), ['audit-pruned 3', 'login'])
  await pruneHistory({ ...config, keepAuditDays: 29.5 }, db, silent)
  assert.deepEqual(await left(), ['audit-pruned 3', 'login'])
  assert.equal((await checkAuditChain(db)).broken, null)
})

test('beyond the bytes the oldest go first, and the last run of a loop never', () => {
  const run = (taskId: number, number: number, endedAt: number, more: Partial<EndedFolder> = {}): EndedFolder => ({
    name: `${taskId}-${number}`,
    taskId,
    number,
    forever: false,
    endedAt,
    bytes: 10,
    ...more,
  })
  const runs = [
    run(1, 1, 500),
    run(2, 1, 100),
    run(3, 1, 300),
    run(4, 1, 50, { forever: true }),
    run(5, 1, 40, { forever: true }),
    run(5, 2, 60, { forever: true }),
  ]
  const gone = (keepBytes: number, keepRuns = 20, endedBefore = 0) =>
    foldersToRemove(runs, { keepRuns, keepBytes, endedBefore }).map(({ name }) => name)
  assert.deepEqual(gone(60), [])
  assert.deepEqual(gone(59), ['5-1'])
  assert.deepEqual(gone(30), ['5-1', '2-1', '3-1'])
  assert.deepEqual(gone(0), ['5-1', '2-1', '3-1', '1-1'])
  assert.deepEqual(gone(60, 1), ['5-1'])
  assert.deepEqual(gone(60, 20, 301), ['2-1', '3-1'])
})

test('folders are bounded by the space they take, without a database, and what is open is not touched', async t => {
  const { runtime } = await makeScene(t)
  const open = openRuns(runtime)
  const make = (name: string, ageMs: number) => {
    const path = join(runtime, 'runs', name)
    writeTicket(path, { execType: 'ONCE' } as Ticket)
    writeFileSync(join(path, 'output.log'), Buffer.alloc(400_000, 'x'))
    const at = (Date.now() - ageMs) / 1000
    utimesSync(path, at, at)
  }
  const said: string[] = []
  const prune = createFolderPruner(
    { runtime, keepRuns: 20, keepDays: 7, keepBytes: 1_000_000 },
    { ...silent, info: line => said.push(line) },
  )
  for (const [name, ageMs] of [
    ['1-1', 4_000],
    ['2-1', 3_000],
    ['3-1', 2_000],
    ['4-1', 9_000],
  ] as const)
    make(name, ageMs)
  open.add('4-1')
  assert.equal(await prune(), 1)
  const left = () => readdirSync(join(runtime, 'runs')).sort()
  assert.deepEqual(left(), ['2-1', '3-1', '4-1'])
  assert.deepEqual(said, ['pruned 1 run folders'])
  make('5-1', 1_000)
  open.remove('4-1')
  assert.equal(await prune(), 2)
  assert.deepEqual(left(), ['3-1', '5-1'])
  assert.equal(await prune(), 0)
})
