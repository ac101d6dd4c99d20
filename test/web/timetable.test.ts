import assert from 'node:assert/strict'
import { test } from 'node:test'
import { restartTimetable } from '../../app/task/restart-timetable.ts'
import { timetable } from '../../app/web/timetable.ts'
import { openPanel } from '../helpers/open-panel.ts'

test('what comes later is drawn further to the right, all of it on the axis, and every wait can be seen', () => {
  const { rows, ticks } = timetable({ state: 'running', reason: null })
  assert.equal(rows.length, restartTimetable().length)
  for (const [index, { from, to }] of rows.entries()) {
    assert.ok(from >= 0 && to <= 100 && to >= from + 1, `${from} to ${to}`)
    if (index > 0) assert.ok(from >= rows[index - 1]!.from)
  }
  const second = rows.find(({ fromMs, toMs }) => fromMs === 1_000 && toMs === 2_000)!
  assert.equal(second.from, ticks.find(({ ms }) => ms === 1_000)!.at)
})

test('a loop that waits is shown where it is in the timetable, in words as well; one that runs is nowhere in it', async t => {
  const panel = await openPanel(t)
  const viewer = await panel.signIn('viewer')
  const { id } = await panel.background.addTask('test/forever', {}, { execType: 'FOREVER' })
  const page = async () => {
    const { body } = await panel.ask({ url: `/admin/core/bgtask/${id}`, as: viewer })
    return body.slice(body.indexOf('id="task-policy"'), body.indexOf('id="task-edits"'))
  }
  assert.match(await page(), /8 and more<\/td>/)
  assert.doesNotMatch(await page(), /aria-current/)
  const waits = (state: string, reason: object) =>
    panel.sql('UPDATE bg_task SET state = ?, reason = ? WHERE id = ?', state, JSON.stringify({ at: Date.now(), ...reason }), id)
  panel.standIn()
  const soon = Date.now() + 3_000
  waits('backing-off', { code: 'backing-off', at: soon - 3_000, until: soon, failures: 3 })
  assert.match(await page(), /aria-current="step">\s*<td>3<\/td>\s*<td>[\s\S]*?here: waits 3 s, next start <time/)
  waits('tripped', { code: 'tripped', at: soon - 610_000, until: soon, failures: 9 })
  const tripped = await page()
  assert.equal(tripped.split('aria-current').length, 2)
  assert.match(tripped, /aria-current="step">\s*<td>Tripped: try 2<\/td>\s*<td>[\s\S]*?waits 10 min 10 s/)
  const once = await panel.background.addTask('test/ok')
  assert.doesNotMatch((await panel.ask({ url: `/admin/core/bgtask/${once.id}`, as: viewer })).body, /task-policy/)
})
