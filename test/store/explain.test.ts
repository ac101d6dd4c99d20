import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { CompiledQuery } from 'kysely'
import { listArtifacts, listArtifactsOf } from '../../app/store/artifacts.ts'
import { checkAuditChain, listAudit, oldestAuditAt } from '../../app/store/audit.ts'
import { findBulk, insertBulk, noteUndone, pruneBulk, sliceItems } from '../../app/store/bulk.ts'
import { cancelMany, deleteMany, putBackMany, restartMany, runMany, startMany, stopMany } from '../../app/store/change-many.ts'
import { claimOfAction } from '../../app/store/claim-of-action.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { countEnded, countTasks } from '../../app/store/count-tasks.ts'
import { rollUpCounters } from '../../app/store/counters.ts'
import { readCron } from '../../app/store/cron.ts'
import { listParts } from '../../app/store/cron-parts.ts'
import { type Db, openDatabase } from '../../app/store/database.ts'
import { editTask } from '../../app/store/edit-task.ts'
import { endOnce, endOnceMany } from '../../app/store/end-once.ts'
import { endSucceeded } from '../../app/store/end-succeeded.ts'
import { findError, listErrors } from '../../app/store/errors.ts'
import { findEnded } from '../../app/store/find-ended.ts'
import { findSchedule } from '../../app/store/find-schedule.ts'
import { findTask, findTaskByKey, findTaskByUid, findTaskNextByKey, newestTaskId } from '../../app/store/find-task.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { actionsDue, listDue, listDueOf, nextDueAt, promoteDue } from '../../app/store/list-due.ts'
import { findEdit, listEditMarks, listEdits } from '../../app/store/list-edits.ts'
import { listLivesOf } from '../../app/store/list-lives.ts'
import { listLoops } from '../../app/store/list-loops.ts'
import { findPerson, listPeople } from '../../app/store/list-people.ts'
import { listRunning } from '../../app/store/list-running.ts'
import { findRun, lastEndedOf, listRuns } from '../../app/store/list-runs.ts'
import { listNextSchedules, listSchedules } from '../../app/store/list-schedules.ts'
import { listStarts } from '../../app/store/list-starts.ts'
import { listTaskAudit } from '../../app/store/list-task-audit.ts'
import { listTaskBulks } from '../../app/store/list-task-bulks.ts'
import { countByIndex, listTasks, sliceTaskIds, type TaskFilter } from '../../app/store/list-tasks.ts'
import { listLoopErrors, noteThrownErrors } from '../../app/store/loop-errors.ts'
import { lastSuccessesOf, listMinutesOf } from '../../app/store/loop-minutes.ts'
import { noteLoopSuccesses } from '../../app/store/loop-successes.ts'
import { readMetricRows } from '../../app/store/metric-rows.ts'
import { migrate } from '../../app/store/migrate.ts'
import { noteAdopted } from '../../app/store/note-adopted.ts'
import { noteIncidentsAlone } from '../../app/store/note-incidents.ts'
import { noteProcess } from '../../app/store/note-process.ts'
import { claimDeliveries, countPending, listIncidents, listLasting, noteTold, pruneIncidents } from '../../app/store/notices.ts'
import { listFailedSince, listNext, listRunningNow, listTroubledLoops } from '../../app/store/overview.ts'
import { findStartFacts, runsBefore, succeededBefore } from '../../app/store/post-mortem.ts'
import { pruneRows } from '../../app/store/prune.ts'
import { pruneOldest } from '../../app/store/prune-oldest.ts'
import { findItem, listAside, queueStand, queuesWithItems } from '../../app/store/queues.ts'
import { recentLives } from '../../app/store/recent-lives.ts'
import { countFailed, discardFailed, retryFailed, sliceFailed } from '../../app/store/recover.ts'
import { countRecoveryCodes } from '../../app/store/recovery-codes.ts'
import { findResidentStart, noteResidentStart } from '../../app/store/resident-starts.ts'
import { returnTask } from '../../app/store/return-task.ts'
import { insertSamples, listSamples, rollUpSamples } from '../../app/store/samples.ts'
import { saveLoops } from '../../app/store/save-loops.ts'
import { scheduleOfTask } from '../../app/store/schedule-of-task.ts'
import {
  deleteSessionOf,
  deleteSessionsOf,
  findSession,
  listSessions,
  pruneSessions,
  saveSession,
  touchSession,
  updateSession,
} from '../../app/store/sessions.ts'
import { tasksById } from '../../app/store/tasks-by-id.ts'
import { findToken, listTokens } from '../../app/store/tokens.ts'
import { anyUser, findUser, findUserById, insertUser, listUsers } from '../../app/store/users.ts'
import { cancelByKey, cancelTask, deleteTask, moveDue, retryTask, runNow, wishDown, wishFresh, wishUp } from '../../app/store/wishes.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import type { Notify } from '../../app/task/notify.ts'
import { emptySample } from '../../app/task/sample.ts'
import { taskActs } from '../../app/web/task-audit.ts'
import { type MariaDb, startMariaDb } from '../helpers/mariadb.ts'
import { runEnd } from '../helpers/run-end.ts'
import { dialects } from './dialects.ts'
import { newTask, owner } from './new-task.ts'
import { seed, seedTime } from './seed.ts'

interface Statement {
  sql: string
  parameters: readonly unknown[]
}

const succeeded = runEnd('succeeded', seedTime)

const pageOfLoops = Array.from({ length: 50 }, (_, n) => n + 1)

const notified: Notify = {
  webhook: { url: 'https://hooks.example.com', key: '', allow: [] },
  mail: null,
  language: 'en',
  quiet: null,
  actions: [],
  gatherMs: 0,
  panelUrl: 'https://panel.example.com/admin',
}

/** Each hot function of the store, and the rows that its statements may read at most, whatever the table holds. */
const hot: { name: string; most?: number; isSearch?: true; run: (db: Db) => Promise<unknown> }[] = [
  { name: 'find', run: async db => [await findTask(db, 5), await findTaskByUid(db, 'x'), await findTaskByKey(db, 'key')] },
  {
    name: 'insert, without and with unique key',
    run: db => insertTasks(db, [newTask(), newTask({ uniqueKey: 'k', onConflict: 'replace' })]),
  },
  {
    name: 'keep the last',
    run: async db => {
      const [first] = await insertTasks(db, [newTask({ uniqueKey: 'l', onConflict: 'keepLast' })])
      await insertTasks(db, [newTask({ uniqueKey: 'l', onConflict: 'keepLast' })])
      const { task } = first!
      const claimed = await claimTask(db, (await findTask(db, task.id))!, { host: 'h', epoch: 'e' }, seedTime)
      for (let calls = 0; calls < 2; calls++) await insertTasks(db, [newTask({ uniqueKey: 'l', onConflict: 'keepLast' })])
      await findTaskNextByKey(db, 'l')
      await endOnce(db, claimed!.id, 1, succeeded, now => afterOnce(now, succeeded, seedTime, 0))
      await cancelByKey(db, 'l', 'test', seedTime)
      await listTasks(db, { uniqueKey: 'l' }, { limit: 10 })
      await listTasks(db, { uniqueKey: 'l', states: ['cancelled'], text: 'x' }, { limit: 10 })
    },
  },
  { name: 'replace', run: db => insertTasks(db, [newTask({ uniqueKey: 'k', onConflict: 'replace' })]) },
  { name: 'list-due', run: db => listDue(db, 100) },
  {
    name: 'list-due of one action, and which there are',
    run: async db => [await listDueOf(db, ['demo/action1'], 100), await actionsDue(db)],
  },
  {
    name: 'claim and end by the hundred',
    most: 4_000,
    run: async db => {
      const process = { pid: 1, startTicks: 1, bootId: 'b' }
      const claimed = await claimOfAction(db, {
        action: 'demo/action1',
        limit: 100,
        owner,
        process,
        handedBefore: 0,
        down: null,
        now: seedTime,
      })
      const how = { action: 'demo/action1', endedAt: seedTime, content: null, outputBytes: null }
      const ends = claimed.map(({ id, number }) => ({ taskId: id, number, ...how }))
      await endSucceeded(db, ends, owner.host)
    },
  },
  { name: 'promote-due', most: 1_500, run: db => promoteDue(db, seedTime + 5_000_000, 500) },
  { name: 'next-due', run: db => nextDueAt(db) },
  {
    name: 'claim and end',
    run: async db => {
      const claimed = []
      for (const task of await listDue(db, 3)) claimed.push(await claimTask(db, task, owner, seedTime))
      await noteProcess(db, claimed[0]!.id, 1, { pid: 1, startTicks: 1, bootId: 'b' })
      await noteAdopted(db, [{ taskId: claimed[0]!.id, number: 1 }], owner)
      await cancelTask(db, claimed[0]!.id, 'test', seedTime)
      const end = {
        kind: 'succeeded',
        content: null,
        error: null,
        exitCode: 0,
        signal: null,
        endedAt: seedTime,
        iterations: null,
        peakMemoryBytes: 0,
        cpuMs: 0,
      } as const
      await endOnceMany(
        db,
        claimed.map(task => ({ taskId: task!.id, number: 1, end, decide: now => afterOnce(now, end, seedTime, 0.5) })),
      )
    },
  },
  {
    name: 'samples of loops',
    run: async db => {
      const minutes = Array.from({ length: 90 }, (_, n) => emptySample(7, seedTime + n * 60_000, 60_000))
      await insertSamples(db, [...minutes, ...minutes.map(sample => ({ ...sample, taskId: 8 }))])
      await rollUpSamples(db, [7, 8], seedTime + 90 * 60_000)
      await listSamples(db, 7, 600_000, seedTime)
    },
  },
  { name: 'incidents, for the page', run: async db => [await listIncidents(db, 20), await listLasting(db, 50)] },
  {
    name: 'incidents: noted, told, pruned',
    run: async db => {
      const of = { taskId: 1, number: 1, action: 'demo/loop', host: 'host-1', facts: {}, lines: () => null }
      const at = Date.now()
      await noteIncidentsAlone(db, notified, [
        { do: 'open', kind: 'tripped', of: 1, at, ...of },
        { do: 'open', kind: 'failed', of: 'error2', at, ...of },
      ])
      await noteIncidentsAlone(db, notified, [{ do: 'close', kind: 'tripped', of: 1, at, how: 'recovered' }])
      const { deliveries } = await claimDeliveries(db, 'webhook', '1 1', at)
      await countPending(db, 'webhook', at)
      for (const delivery of deliveries) await noteTold(db, delivery, '1 1', at)
      await pruneIncidents(db, seedTime + 1_000, 100)
    },
    // Ten seeded ones in a thousand are to be told, and are.
    most: 3_000,
  },
  {
    name: 'errors of loops',
    run: async db => {
      const errors = Array.from({ length: 130 }, (_, n) => ({
        pattern: `e${n}`,
        sample: 'it broke',
        n: 1,
        firstAt: seedTime,
        lastAt: seedTime + n,
      }))
      await noteThrownErrors(
        db,
        [1, 2, 3].map(taskId => ({ taskId, number: 1, errors })),
      )
      await listLoopErrors(db, 2, 21)
    },
  },
  { name: 'list-running', run: db => listRunning(db, 'host-1') },
  { name: 'list-loops', most: 1_000, run: db => listLoops(db) },
  {
    name: 'save-loops',
    run: async db => {
      const [run] = await listRuns(db, 1, { limit: 1 })
      const start = { ...run!, number: 10_001, outcome: null, endedAt: null }
      const end = {
        kind: 'exited',
        content: null,
        error: null,
        exitCode: 1,
        signal: null,
        endedAt: seedTime,
        iterations: 3,
        peakMemoryBytes: 0,
        cpuMs: 0,
      } as const
      const fact = { taskId: 1, number: 10_001, reason: null, runAt: seedTime, startedAt: seedTime, finishedAt: null }
      await saveLoops(db, owner, {
        facts: [{ ...fact, state: 'backing-off' }],
        starts: [start],
        ends: [{ taskId: 1, number: 10_001, end }],
      })
      await saveLoops(db, owner, { facts: [{ ...fact, taskId: 2, state: 'stopped' }], starts: [], ends: [{ taskId: 2, number: 9, end }] })
    },
  },
  {
    name: 'list-runs',
    run: async db => [await listRuns(db, 1, { limit: 50 }), await listRuns(db, 1, { limit: 50, before: 5_000 }), await findRun(db, 1, 77)],
  },
  {
    name: 'what was before a run',
    run: async db => [
      await runsBefore(db, 1, 5_000, 200),
      await findStartFacts(db, 1, 77),
      await succeededBefore(db, 'demo/action1', 5_000),
    ],
  },
  {
    name: 'with what resident runners were started',
    run: async db => {
      const startedWith = { code: null, commit: null, node: '24', bgtask: '1' }
      const process = { pid: 1, startTicks: 1, bootId: 'b' }
      await noteResidentStart(db, { host: owner.host, process, startedWith, now: seedTime })
      await findResidentStart(db, owner.host, process)
      await pruneOldest(db, 'bg_resident_start', seedTime - 1, 500)
    },
  },
  { name: 'list-starts', run: db => listStarts(db, 1, 200) },
  { name: 'lives of a page of loops', run: db => listLivesOf(db, pageOfLoops, 100) },
  {
    name: 'what a page of loops did',
    most: 2_000,
    run: async db => {
      await listMinutesOf(db, pageOfLoops, seedTime + 75 * 60_000)
      await lastSuccessesOf(db, pageOfLoops)
    },
  },
  { name: 'recent lives', run: db => recentLives(db, [1, 2, 3], 25) },
  {
    name: 'wishes',
    run: async db => {
      await wishUp(db, 500, 'test', seedTime)
      await wishDown(db, 500, 'test', seedTime)
      await wishFresh(db, 501, 'test', seedTime)
      const task = (await insertTasks(db, [newTask({ runAt: seedTime + 9e9 })], { now: seedTime }))[0]!.task
      await moveDue(db, task.id, seedTime + 8e9, 'test', seedTime)
      await runNow(db, task.id, 'test', seedTime)
      await cancelTask(db, task.id, 'test', seedTime)
      await retryTask(db, task.id, 'test', seedTime)
      await cancelTask(db, task.id, 'test', seedTime)
      await returnTask(db, task.id, 'test', seedTime)
      await cancelTask(db, task.id, 'test', seedTime)
      await deleteTask(db, task.id)
    },
  },
  {
    name: 'edits',
    run: async db => {
      const loop = (await findTask(db, 1))!
      const edit = { effect: 'restart', by: 'test', via: 'form', revertOf: null, touched: [] } as const
      await editTask(db, loop, { ...edit, after: { ...loop, graceMs: 77 } }, seedTime)
      await listEdits(db, 1, { limit: 10, before: 50 })
      await listEditMarks(db, 1, 100)
      await findEdit(db, 1, 1)
    },
  },
  { name: 'loops in trouble', run: db => listTroubledLoops(db, 10) },
  { name: 'failed lately', run: db => listFailedSince(db, seedTime, 10) },
  {
    name: 'how tasks on the overview ended',
    run: db =>
      lastEndedOf(
        db,
        pageOfLoops.map(id => ({ id, number: 5, state: id % 2 === 0 ? 'running' : 'tripped' })),
      ),
  },
  { name: 'running now', run: db => listRunningNow(db, 12) },
  { name: 'next', run: db => listNext(db, 6) },
  { name: 'counts', most: 100_000, run: async db => [await countTasks(db), await countEnded(db, seedTime)] },
  { name: 'counts of days that are over', run: db => rollUpCounters(db, seedTime, 100) },
  { name: 'metrics', most: 108_000, run: db => readMetricRows(db, 9_000) },
  {
    name: 'the last successes of loops',
    run: db =>
      noteLoopSuccesses(
        db,
        pageOfLoops.map(taskId => ({ taskId, at: seedTime })),
      ),
  },
  { name: 'prune', most: 8_000, run: db => pruneRows(db, { keepRuns: 200, endedBefore: seedTime + 3_000, limit: 500 }) },
  {
    name: 'errors',
    run: async db => {
      await listErrors(db, { limit: 50 })
      await listErrors(db, { limit: 50, before: { lastAt: seedTime + 20, key: 'error20' } })
      await listErrors(db, { limit: 50, action: 'demo/action3' })
      await findError(db, 'error7')
    },
  },
  {
    name: 'what failed',
    most: 1_500,
    run: async db => {
      const later = { failedBefore: seedTime + 10_000_000 }
      for (const filter of [
        {},
        { error: 'error7' },
        { action: 'demo/action7' },
        { creator: 'creator7' },
        { type: 'type1', creator: 'creator7' },
      ])
        await sliceFailed(db, filter, { after: null, ...later, atOnce: 100 })
      const { ids } = await sliceFailed(db, {}, { after: 10, ...later, atOnce: 20 })
      await retryFailed(db, ids.slice(0, 10), { by: 'test', now: seedTime, ...later })
      await discardFailed(db, ids.slice(10), { now: seedTime, ...later })
    },
  },
  {
    name: 'many at once',
    most: 4_000,
    run: async db => {
      const before = (await newestTaskId(db)) + 1
      const asked = { act: 'stop', upTo: before, expected: 1, isAll: true, askedBy: 'test', undoOf: null } as const
      const ask = (id: number) => insertBulk(db.kysely, { ...asked, id, filter: {}, askedAt: seedTime })
      await ask(90)
      await ask(91)
      const step = { bulkId: 90, by: '#90', now: seedTime }
      const loops = (await sliceTaskIds(db, { execType: 'FOREVER', wanted: 'up' }, { before, atOnce: 20 })).ids
      await restartMany(db, loops, { ...step, bulkId: 91 })
      await stopMany(db, loops, step)
      await putBackMany(db, loops, { ...step, of: 90, act: 'stop' })
      await startMany(db, loops, step)
      const waiting = { execType: 'ONCE', states: ['waiting'] } as const
      const { ids } = await sliceTaskIds(db, waiting, { before, atOnce: 40 })
      await runMany(db, ids, step)
      await cancelMany(db, ids, { ...step, bulkId: 91 })
      await deleteMany(db, ids.slice(20), seedTime)
      await putBackMany(db, ids, { ...step, of: 91, act: 'cancellation' })
      await sliceItems(db, 90, { after: 0, atOnce: 100 })
      await listTaskBulks(db, { id: loops[0]!, createdAt: seedTime }, 8)
      for (const filter of [waiting, {}, { creator: 'creator1' }]) await countByIndex(db, filter, { before, most: 50 })
      await findBulk(db, 90)
      await noteUndone(db.kysely, 90, 91)
      while ((await pruneBulk(db, seedTime + 1, 100)) > 0);
    },
  },
  {
    name: 'what failed, counted',
    most: 3_000,
    run: db => countFailed(db, { error: 'error7' }, { failedBefore: seedTime + 1, readAtMost: 1_000 }),
  },
  {
    name: 'files of a page',
    run: async db => {
      await listArtifacts(db, 5, 1)
      await listArtifactsOf(
        db,
        pageOfLoops.map(taskId => ({ taskId, number: 1 })),
        2,
      )
    },
  },
  {
    name: 'schedules',
    run: async db => {
      await listSchedules(db, { limit: 50 })
      await listSchedules(db, { limit: 50, after: 'schedule7' })
      await listNextSchedules(db, 4)
      await findSchedule(db, { id: 1 })
      await findSchedule(db, { name: 'schedule7' })
      await scheduleOfTask(db, 1_250)
    },
  },
  {
    name: 'tasks of a schedule',
    most: 2_000,
    run: async db => {
      const page = await listTasks(db, { scheduleId: 7 }, { limit: 50 })
      if (page.older) await listTasks(db, { scheduleId: 7 }, { limit: 50, after: page.older })
      await listTasks(db, { scheduleId: 7 }, { limit: 50, before: '1500' })
    },
  },
  {
    name: 'cron and its queues',
    most: 60_000,
    run: async db => {
      await readCron(db)
      await listParts(db)
      for (const queue of await queuesWithItems(db)) await queueStand(db, queue)
    },
  },
  {
    name: 'what is set aside',
    run: async db => {
      const [first] = await listAside(db, 'queue1', { limit: 50 })
      await listAside(db, 'queue1', { limit: 50, ...(first ? { before: { asideAt: first.asideAt - 500, id: first.id } } : {}) })
      await findItem(db, 5)
    },
  },
  {
    name: 'tokens',
    run: async db => [await listTokens(db, { limit: 50 }), await listTokens(db, { limit: 50, before: 77 }), await findToken(db, 7)],
  },
  {
    name: 'who asks',
    run: async db => [
      await findUser(db, 'user7'),
      await findUserById(db, 1),
      await listUsers(db),
      await anyUser(db),
      await countRecoveryCodes(db, 1),
    ],
  },
  { name: 'tasks by their ids', run: async db => [await tasksById(db, pageOfLoops), await findEnded(db, pageOfLoops)] },
  { name: 'audit', run: db => listAudit(db, { limit: 50 }) },
  { name: 'audit of one user', run: db => listAudit(db, { limit: 50, userName: 'user7' }) },
  { name: 'audit of one act', run: db => listAudit(db, { limit: 50, act: 'act7' }) },
  { name: 'audit of one thing', run: db => listAudit(db, { limit: 50, subject: '77' }) },
  { name: 'audit of two acts, upwards', run: db => listAudit(db, { limit: 50, act: ['act7', 'act8'], after: 77 }) },
  { name: 'audit of a moment', run: db => listAudit(db, { limit: 50, since: seedTime + 500_000, until: seedTime + 900_000 }) },
  {
    name: 'audit of one user until then',
    run: db => listAudit(db, { limit: 50, userName: 'user7', until: seedTime + 900_000, before: 800 }),
  },
  { name: 'audit of one task', run: db => listTaskAudit(db, 7, taskActs, 8) },
  { name: 'the end of the audit', most: 4_000, run: async db => [await oldestAuditAt(db), await checkAuditChain(db, { newest: 1_000 })] },
  {
    name: 'people, one of whom did a lot but never signed in',
    run: async db => {
      await insertUser(db, { name: 'user7', passwordHash: '', role: 'viewer', createdAt: 0 })
      await listPeople(db, seedTime)
      await findPerson(db, 1, seedTime)
    },
  },
  {
    name: 'sessions',
    run: async db => {
      await findSession(db, 's77')
      await saveSession(db, { idHash: 's77', userId: 1, data: '{}', expiresAt: seedTime + 1, createdAt: 0, seenAt: 0 })
      await updateSession(db, { idHash: 's77', userId: 1, data: '{}', expiresAt: seedTime + 1, seenAt: 0 })
      await touchSession(db, 's77', { expiresAt: seedTime + 1, seenAt: 0 })
      await listSessions(db, 6, { now: seedTime, limit: 100 })
      await deleteSessionOf(db, 1, 's77')
      await deleteSessionsOf(db, 5)
      await pruneSessions(db, seedTime + 3)
    },
  },
  ...(
    [
      {},
      { states: ['waiting'] },
      { states: ['succeeded', 'failed', 'cancelled'] },
      { execType: 'ONCE' },
      { execType: 'FOREVER' },
      { type: 'type1' },
      { action: 'demo/action1' },
      { creator: 'creator1' },
      { states: ['failed'], error: 'error7' },
      { states: ['failed'], type: 'type1' },
      { states: ['failed'], action: 'demo/action1' },
      { states: ['running'], creator: 'nobody' },
      { states: ['running'], execType: 'FOREVER' },
      { execType: 'ONCE', action: 'demo/action1' },
    ] satisfies TaskFilter[]
  ).map(filter => ({
    name: `list-tasks ${JSON.stringify(filter)}`,
    run: async (db: Db) => {
      const first = await listTasks(db, filter, { limit: 50 })
      if (first.older) await listTasks(db, filter, { limit: 50, after: first.older })
      await listTasks(db, filter, { limit: 50, before: '1500' })
    },
    most: 1_400,
  })),
  ...(
    [
      { text: 'nowhere to be found' },
      { execType: 'FOREVER', wanted: 'up' },
      { execType: 'ONCE', states: ['waiting'], due: 'later', without: 'core/command' },
      { text: 'nowhere', states: ['failed'] },
      { text: 'nowhere', action: 'demo/action1' },
      { type: 'type1', action: 'demo/action1' },
      { type: 'no such', creator: 'creator1', states: ['waiting'] },
    ] satisfies TaskFilter[]
  ).map(filter => ({
    name: `list-tasks ${JSON.stringify(filter)}`,
    isSearch: true as const,
    run: (db: Db) => listTasks(db, filter, { limit: 50 }),
    most: 420_000,
  })),
]

/** Read by a page, and not here: constants, one row by its key, tables of a few rows, and what others here call. */
const elsewhere = ['countCap', 'findOnceLink', 'findAnswer', 'findLines', 'lastSignOf', 'listHosts', 'countItems']

test('whatever a page reads is read here', () => {
  const root = join(import.meta.dirname, '..', '..')
  const sources = ['app/web', 'app/api'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => readFileSync(join(root, folder, name), 'utf8')),
  )
  const here = readFileSync(import.meta.filename, 'utf8').replace(/^const elsewhere = .*$/m, '')
  const read = sources
    .flatMap(text => [...text.matchAll(/import \{([^}]*)\} from '(?:\.\.\/)+store\//g)])
    .flatMap(([, names]) => names!.split(',').map(name => name.trim().split(' as ')[0]!))
    .filter(name => /^(find|list|count|any|newest|oldest|slice|recent|last|tasksBy|queue|scheduleOf)/.test(name))
  assert.ok(read.length > 50)
  assert.deepEqual(
    [...new Set(read)].filter(name => !elsewhere.includes(name) && !new RegExp(`\\b${name}\\(`).test(here)),
    [],
    'Add what reads them to the list of what is hot.',
  )
})

for (const dialect of dialects) {
  describe(`every hot statement is answered by an index of ${dialect.name}`, { skip: dialect.skip }, () => {
    let server: MariaDb | undefined
    const newUrl = async () => {
      if (dialect.name === 'SQLite') return dialect.newUrl()
      // Hundreds of thousands of rows want a server with more memory, and no care for power cuts.
      const fast = [
        '--innodb-flush-log-at-trx-commit=0',
        '--innodb-buffer-pool-size=768M',
        '--innodb-log-file-size=512M',
        '--skip-innodb-doublewrite',
      ]
      server ??= await startMariaDb({ arguments: fast })
      return server.newDatabase()
    }
    after(() => server?.stop())

    for (const rows of [0, 10_000, 300_000]) {
      test(`at ${rows} rows`, async () => {
        const url = await newUrl()
        const told: Statement[] = []
        // Filling the tables is what takes so long, most of all on a busy machine.
        const db = await openDatabase(url, { statementTimeoutMs: 300_000, log: (sql, parameters) => told.push({ sql, parameters }) })
        const faults: string[] = []
        try {
          await migrate(db)
          await seed(db, rows)
          if (rows === 0)
            await insertTasks(
              db,
              Array.from({ length: 5 }, () => newTask({ runAt: seedTime })),
              { now: seedTime },
            )
          for (const { name, run, most = 700, isSearch } of hot) {
            told.length = 0
            const read = db.dialect === 'mysql' ? await rowsRead(db, run) : 0
            // SQLite tells nobody how many rows it reads; what it computes is the same on a machine that is busy with other tests.
            const before = process.cpuUsage()
            if (db.dialect === 'sqlite') await run(db)
            const { user, system } = process.cpuUsage(before)
            const cpuMs = (user + system) / 1_000
            if (read > most) faults.push(`${name}: read ${read} rows, at most ${most} are expected`)
            if (cpuMs > (isSearch ? 3_000 : 500)) faults.push(`${name}: took ${Math.round(cpuMs)} ms of a processor`)
            for (const statement of distinct(told)) {
              for (const fault of await (db.dialect === 'sqlite' ? explainSqlite : explainMysql)(db, statement, rows)) {
                faults.push(`${name}: ${fault}\n    ${statement.sql.slice(0, 2_000)}`)
              }
            }
          }
        } finally {
          await db.close()
        }
        assert.deepEqual(faults, [])
      })
    }
  })
}

// Read in any order of the key, and only as far as the limit goes.
const isFirstOfAll = (sql: string) => !/where/i.test(sql) && /order by [`"]?(id|name|queue)[`"]?( desc| asc)? limit/i.test(sql)
/** What is sorted is what a limit within has let through. */
const isBoundBefore = /\bLIMIT \d+\) AS made\b/
const isSmall = /[`"]?bg_(schedule(?!_)|host|counter|run_count|cron_part|migration|user|login_failure)[`"]?/

const explainSqlite = async (db: Db, { sql, parameters }: Statement): Promise<string[]> => {
  const { rows } = await db.kysely.executeQuery<{ detail: string }>(CompiledQuery.raw(`EXPLAIN QUERY PLAN ${sql}`, parameters as unknown[]))
  return rows
    .map(row => row.detail)
    .filter(detail => (/^SCAN (bg_|t\b)/.test(detail) && !isSmall.test(detail) && !isFirstOfAll(sql)) || /TEMP B-TREE/.test(detail))
    .filter(detail => !(/TEMP B-TREE/.test(detail) && (isSmall.test(sql) || isBoundBefore.test(sql))))
}

const explainMysql = async (db: Db, { sql, parameters }: Statement, size: number): Promise<string[]> => {
  const { rows } = await db.kysely.executeQuery<{
    table: string | null
    type: string | null
    key: string | null
    rows: number | null
    Extra: string | null
  }>(CompiledQuery.raw(`EXPLAIN ${sql}`, parameters as unknown[]))
  // Who changes a row must come to it by its id, however few there are: two ways to one row end in deadlocks.
  const isChange = /^(update|delete)|for update$/i.test(sql) && /\bid`? (=|in)/i.test(sql)
  const strays = isChange
    ? rows.filter(row => row.table === 'bg_task' && row.key !== 'PRIMARY' && row.key !== null).map(row => JSON.stringify(row))
    : []
  // A table of a page or two is read as a whole, rightly.
  if (size === 0 || strays.length > 0) return strays
  return rows
    .filter(row => row.table?.startsWith('bg_') && !isSmall.test(row.table))
    .filter(
      row =>
        (row.type === 'ALL' && !/insert/i.test(sql.slice(0, 6))) ||
        (row.type === 'index' && !isFirstOfAll(sql)) ||
        /filesort|temporary/.test(row.Extra ?? ''),
    )
    .map(row => JSON.stringify(row))
}

/** What the server itself counts, on one connection. */
const rowsRead = async (db: Db, run: (db: Db) => Promise<unknown>): Promise<number> => {
  const status = async () => {
    const { rows } = await db.kysely.executeQuery<{ n: number }>(
      CompiledQuery.raw(
        "SELECT SUM(VARIABLE_VALUE) AS n FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME LIKE 'HANDLER_READ%' " +
          "AND VARIABLE_NAME NOT LIKE '%RND%'",
      ),
    )
    return Number(rows[0]!.n)
  }
  const before = await status()
  await run(db)
  return (await status()) - before
}

const distinct = (told: readonly Statement[]): Statement[] => [
  ...new Map(
    told
      .filter(({ sql }) => /^(select|update|delete|insert)/i.test(sql) && !/GLOBAL_STATUS/.test(sql))
      .map(statement => [statement.sql, statement]),
  ).values(),
]
