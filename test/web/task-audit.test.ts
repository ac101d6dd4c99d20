import assert from 'node:assert/strict'
import { test } from 'node:test'
import { appendAudit } from '../../app/store/audit.ts'
import { taskActs } from '../../app/web/task-audit.ts'
import { openPanel } from '../helpers/open-panel.ts'

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
