import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noteThrownErrors } from '../../app/store/loop-errors.ts'
import { openPanel } from '../helpers/open-panel.ts'

test("a loop's page groups its errors, with a link to their lines, and shows no secret and no markup of them", async t => {
  const panel = await openPanel(t)
  const viewer = await panel.signIn('viewer')
  const { db } = panel.background
  const loop = await panel.background.addTask('test/forever', { password: 'hunter2-of-params' }, 'FOREVER')
  const page = () => panel.ask({ url: `/admin/core/bgtask/${loop.id}`, as: viewer })
  assert.match((await page()).body, /id="loop-errors"[\s\S]*No life of this loop has ended badly/)
  const error = (sample: string, n: number) => ({ pattern: sample, sample, n, firstAt: 1_000, lastAt: Date.now() })
  await noteThrownErrors(db, [
    { taskId: loop.id, number: 3, errors: [error('<b>row & "7"</b> of hunter2-of-params', 12_345), error('x', 1)] },
  ])
  const { body } = await page()
  assert.match(body, /12,345/)
  assert.match(body, /&lt;b&gt;row &amp; (?:"|&quot;)7(?:"|&quot;)&lt;\/b&gt; of \[redacted\]/)
  assert.match(body, new RegExp(`/core/bgtask/${loop.id}/lines\\?run=3&amp;q=%3Cb%3Erow`))
  assert.doesNotMatch(body, /hunter2|<b>row/)
  const once = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  assert.doesNotMatch((await panel.ask({ url: `/admin/core/bgtask/${once.id}`, as: viewer })).body, /id="loop-errors"/)
})
