import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askBulk, askUndo, bulkFilter } from '../../app/api/ask-bulk.ts'
import { carryOutBulk } from '../../app/api/carry-out-bulk.ts'
import { stopTask } from '../../app/api/control.ts'
import { appendAudit } from '../../app/store/audit.ts'
import type { BulkAct } from '../../app/store/bulk.ts'
import { newestTaskId } from '../../app/store/find-task.ts'
import { taskActs } from '../../app/web/task-audit.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { dialects } from '../store/dialects.ts'

test('acts whose subject is a task are known by their sentence, with their failures', () => {
  for (const act of [
    'task-added',
    'task-edit',
    'task-reversal',
    'task-restart',
    'task-restart-failed',
    'debug-run',
    'run-by-hand',
    'command',
  ])
    assert.ok(taskActs.includes(act), act)
  for (const act of ['tasks-added', 'login', 'audit-pruned', 'user-removed', 'schedule-run', 'item-discarded', 'loop-reloaded'])
    assert.ok(!taskActs.includes(act), act)
})

test('a task’s page tells everybody who did what to it; addresses and details are for administrators, by a link', async t => {
  const panel = await openPanel(t)
  const { db } = panel.background
  const people = { viewer: await panel.signIn('viewer'), operator: await panel.signIn('operator'), admin: await panel.signIn('admin') }
  const { id } = await panel.background.addTask('test/forever', {}, { execType: 'FOREVER' })
  const section = async (who: keyof typeof people) => {
    const { body } = await panel.ask({ url: `/admin/core/bgtask/${id}`, as: people[who] })
    const from = body.indexOf('id="task-audit"')
    return body.slice(from, body.indexOf('</section>', from))
  }
  assert.match(await section('viewer'), /Nobody has done anything to it/)
  await panel.ask({ method: 'POST', url: `/admin/core/bgtask/${id}/restart`, as: people.operator, body: {} })
  const row = { at: Date.now(), ip: '192.0.2.66', via: 'token', detail: 'a detail of it' } as const
  await appendAudit(db, { ...row, userName: '<kim>', act: 'task-stop', subject: String(id) })
  await appendAudit(db, { ...row, userName: null, act: 'task-start-failed', subject: String(id) })
  // Not of this task, though the subject is the same.
  await appendAudit(db, { ...row, userName: 'lee', act: 'tasks-added', subject: String(id) })
  await appendAudit(db, { ...row, userName: 'lee', act: 'task-stop', subject: `${id}0` })
  const words = (html: string) =>
    [...html.matchAll(/<\/time> <span>([\s\S]*?)<\/span><\/li>/g)].map(([, text]) => text!.replace(/<[^>]*>/g, '').trim())
  for (const who of ['viewer', 'operator', 'admin'] as const) {
    const html = await section(who)
    assert.deepEqual(words(html), [
      `This failed: Somebody started task ${id}. (an API token)`,
      `&lt;kim&gt; stopped task ${id}. (an API token)`,
      `operator restarted task ${id}. (a form of the panel)`,
    ])
    assert.doesNotMatch(html, /192\.0\.2\.66|a detail of it|lee/)
    assert.equal(html.includes(`/reports/audit?subject=${id}"`), who === 'admin')
  }
  for (let n = 0; n < 12; n++) await appendAudit(db, { ...row, userName: 'kim', act: 'task-restart', subject: String(id) })
  assert.equal(words(await section('viewer')).length, 8)
})

for (const dialect of dialects)
  test(`${dialect.name}: an act on many is told on the page of each task that it changed, with a link to it, and so is its undoing`, {
    skip: dialect.skip,
  }, async t => {
    const panel = await openPanel(t, { env: dialect.name === 'SQLite' ? {} : { DATABASE_URL: await dialect.newUrl() } })
    const { background } = panel
    const { db } = background
    const viewer = await panel.signIn('viewer')
    const add = async (action: string, creator: string, options: object) =>
      (await background.addTask(action, {}, { creator, ...options })).id
    const [mine, down, other, later] = [
      await add('test/forever', 'kim', { execType: 'FOREVER' }),
      await add('test/forever', 'kim', { execType: 'FOREVER' }),
      await add('test/forever', 'li', { execType: 'FOREVER' }),
      await add('test/ok', 'kim', { delayMs: 3_600_000 }),
    ]
    await stopTask(background, down, 'kim')
    const actor = { name: 'eva', ip: null, via: 'form' } as const
    const quiet = { signal: new AbortController().signal, progress: () => undefined }
    const done = async (id: number) => {
      await carryOutBulk(background, id, quiet)
      await db.kysely.updateTable('bg_task').set({ state: 'succeeded', due: null, finished_at: Date.now() }).where('id', '=', id).execute()
      return id
    }
    const many = async (act: BulkAct, by: string) => {
      const asked = { act, filter: bulkFilter(act, { creator: 'kim' })!, upTo: await newestTaskId(db), expected: 1, isAll: true }
      return done((await askBulk(background, asked, { by, actor })).id)
    }
    const told = async (id: number) => {
      const { body } = await panel.ask({ url: `/admin/core/bgtask/${id}`, as: viewer })
      const from = body.indexOf('id="task-audit"')
      const rows = [...body.slice(from, body.indexOf('</section>', from)).matchAll(/<li>([\s\S]*?)<\/li>/g)].map(([, html]) => html!)
      return rows.map(html => [
        html
          .replace(/<time[\s\S]*?<\/time>/g, '')
          .replace(/<a [\s\S]*<\/a>|<[^>]*>/g, '')
          .replace(/\s+/g, ' ')
          .trim(),
        /bulk\/(\d+)"/.exec(html)?.[1] ?? null,
      ])
    }
    assert.deepEqual(await told(mine), [])

    const stop = await many('stop', '<eva>')
    assert.deepEqual(await told(mine), [[`&lt;eva&gt; stopped many loops, by task ${stop}. (a form of the panel)`, String(stop)]])
    for (const id of [down, other, later]) assert.deepEqual(await told(id), [], 'it was not changed')

    const undo = await done((await askUndo(background, stop, { by: 'kim', actor })).id)
    const restart = await many('restart', 'lee')
    const run = await many('run', 'lee')
    assert.deepEqual(await told(mine), [
      [`lee restarted many loops, by task ${restart}. (a form of the panel)`, String(restart)],
      [`kim undid what was done to many tasks, by task ${undo}. (a form of the panel)`, String(undo)],
      [`&lt;eva&gt; stopped many loops, by task ${stop}. (a form of the panel)`, String(stop)],
    ])
    assert.deepEqual(await told(later), [[`lee had many waiting tasks run at once, by task ${run}. (a form of the panel)`, String(run)]])
    assert.deepEqual(await told(other), [])

    // Its own acts stand among them, by time; the newest are told.
    await appendAudit(db, {
      at: Date.now(),
      ip: null,
      via: 'form',
      detail: null,
      userName: 'kim',
      act: 'task-restart',
      subject: String(mine),
    })
    const rows = await told(mine)
    assert.deepEqual([rows.length, rows[0]], [4, [`kim restarted task ${mine}. (a form of the panel)`, null]])
    for (let n = 0; n < 6; n++) await many('restart', 'lee')
    assert.equal((await told(mine)).length, 8)
  })
