import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFlag } from '../../app/runs/flags.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { stopToken } from '../../app/web/restart-link.ts'
import { readSessionSecret } from '../../app/web/session-secret.ts'
import { passTime } from '../helpers/pass-time.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'
import { attackPanel, setUp, startEveryMs } from './foreign-pages.ts'

const skip = chromiumMissing()

test('no page of somebody else does anything to the panel on 127.0.0.1', { skip, timeout: 280_000 }, t => attackPanel(t, null))

test('what the visitor does acts: a visit that is typed, a click on a page of ours, a button, a one-time link', {
  skip,
  timeout: 120_000,
}, async t => {
  const { panel, page, foreign } = await setUp(t, null)
  const acted = (act: string) => panel.sql('SELECT via, detail FROM bg_audit WHERE act = ? ORDER BY id', act)
  const starts = async (what: string, visit: () => Promise<unknown>) => {
    const before = acted('loop-started').length
    // Starts by a visit are at least five seconds apart.
    passTime(startEveryMs)
    await visit()
    assert.equal(acted('loop-started').length, before + 1, what)
    await until('it is up', () => readSupervisor(panel.runtime))
    await panel.endLoop()
  }
  const stops = async (what: string, visit: (epoch: string) => Promise<unknown>) => {
    const epoch = panel.standIn()
    // And stops ten.
    passTime(2 * startEveryMs)
    await visit(epoch)
    const flag = await until(what, () => readFlag(runtimePaths(panel.runtime).stop))
    assert.equal(flag.epoch, epoch, what)
    panel.standDown()
  }
  await starts('a typed visit starts it', () => page.goto(`${panel.origin}/admin`))
  await page.goto(`${panel.origin}/admin/core/bgtask`)
  await starts('a click on a page of ours starts it', async () => {
    await page.goto(`${panel.origin}/admin/core/bgtask`)
    await page.click('.nav a[href="/admin"]')
    await page.waitForURL(`${panel.origin}/admin`)
  })
  await stops('the button stops it', async () => {
    await page.goto(`${panel.origin}/admin/core/bgtask/restart`)
    await page.locator('main form[action="/admin/core/bgtask/restart"] button').click()
    await page.waitForURL(`${panel.origin}/admin`)
  })
  await stops('a click on a link of ours stops it', async () => {
    await page.goto(`${panel.origin}/admin/core/bgtask`)
    await page.evaluate(
      "document.querySelector('main').insertAdjacentHTML('afterbegin', '<a id=go href=/admin/core/bgtask/restart>stop</a>')",
    )
    await page.click('#go')
    await page.waitForURL(`${panel.origin}/admin`)
  })
  await stops('a one-time link stops it', async epoch => {
    const link = `/admin/core/bgtask/restart?k=${stopToken({ secret: readSessionSecret(panel.runtime) }, epoch)}`
    await page.goto(panel.origin + link)
  })
  // Nothing that a browser sends tells an address that was typed from one that was typed elsewhere and redirected: it may start the loop,
  // which is where it ought to be, and never stop it.
  panel.standIn()
  await page.goto(foreign.redirect('evil.test', `${panel.origin}/admin/core/bgtask/restart`))
  assert.match(page.url(), /\/admin\/core\/bgtask\/restart$/)
  assert.equal(readFlag(runtimePaths(panel.runtime).stop), null)
  panel.standDown()
  await starts('typed elsewhere and redirected', () => page.goto(foreign.redirect('evil.test', `${panel.origin}/admin`)))
})
