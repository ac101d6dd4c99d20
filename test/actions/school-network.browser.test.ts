import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { findTask } from '../../app/store/find-task.ts'
import { listTasks } from '../../app/store/list-tasks.ts'
import { cookiesOf, password, type ServedPanel, servePanel, signInByForm } from '../helpers/browser.ts'
import { sharedMariaDb } from '../helpers/mariadb.ts'
import { newUser } from '../helpers/new-user.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing, mariadbMissing } from '../helpers/tools.ts'

const cases = [
  { name: 'SQLite, with script', script: true, skip: chromiumMissing(), url: async () => undefined },
  {
    name: 'MariaDB, without script',
    script: false,
    skip: chromiumMissing() || mariadbMissing(),
    url: async () => (await sharedMariaDb()).newDatabase(),
  },
]

for (const { name, script, skip, url } of cases) {
  test(`a teacher switches a classroom off, extends, switches on early; and it comes back by itself: ${name}`, {
    skip,
    timeout: 120_000,
  }, async t => {
    const databaseUrl = await url()
    const env = { BGTASK_ADMIN_PASSWORD: password, ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}) }
    const panel = await servePanel(t, { ...env, BGTASK_AUTOSTART: 'on' })
    const background = await openBackground(await loadConfig({ ...env, BGTASK_RUNTIME: panel.runtime }))
    t.after(() => background.close())
    const { page, problems } = await openBrowser(t, { script })
    await signInByForm(page, panel)
    const file = (room: string) => join(panel.runtime, 'demo', 'network', `${room}.json`)
    const room = (which: string) => page.locator(`[data-room="${which}"]`)
    const key = { unique: 'teacher:1' }
    const holder = async () => (await background.taskWithKey(key.unique))!

    await page.goto(`${panel.address}/demo`)
    await page.click('main a[href="/demo/network"]')
    await page.selectOption('#f-classroom', '201')
    await page.click('form:has(#f-length) button')
    await page.locator('.flash', { hasText: '201 is off' }).waitFor()
    assert.match(await room('201').innerText(), /Off/)
    const first = await holder()
    assert.deepEqual([first.action, first.params, first.state], ['demo/network-restore', { classroom: '201' }, 'waiting'])
    assert.ok(first.runAt - first.createdAt > 44 * 60_000)
    assert.equal((JSON.parse(readFileSync(file('201'), 'utf8')) as { task: number }).task, first.id)

    // Longer: the newer task has replaced the older one, which says so.
    await page.click('button[name=more_s] >> nth=1')
    await page.locator('.flash', { hasText: 'stays off for longer' }).waitFor()
    const second = await holder()
    assert.equal(second.runAt, first.runAt + 15 * 60_000)
    const replaced = await findTask(background.db, first.id)
    assert.deepEqual([replaced?.state, replaced?.reason?.code, replaced?.reason?.detail], ['cancelled', 'replaced', String(second.id)])
    await page.goto(`${panel.address}/admin/core/bgtask/${first.id}`)
    await page
      .locator('.why-text', { hasText: `Replaced by #${second.id}` })
      .locator('a')
      .click()
    await page.locator('h1', { hasText: `#${second.id}` }).waitFor()

    // On again early: nothing waits any more.
    await page.goto(`${panel.address}/demo/network`)
    await page.click('form[action="/demo/network/on"] button')
    await page.locator('.flash', { hasText: '201 is on again' }).waitFor()
    assert.equal(existsSync(file('201')), false)
    assert.equal(await background.taskWithKey(key.unique), null)
    assert.equal((await findTask(background.db, second.id))?.state, 'cancelled')

    // Another classroom while one is off: a teacher is in one of them.
    for (const classroom of ['101', 'Lab-1']) {
      await page.selectOption('#f-classroom', classroom)
      await page.click('form:has(#f-length) button')
      await page.locator('.flash', { hasText: `${classroom} is off` }).waitFor()
    }
    assert.deepEqual([existsSync(file('101')), existsSync(file('Lab-1'))], [false, true])

    // The lesson ends sooner: its due time is moved on the task's page, and the network comes back by itself.
    const last = await holder()
    await page.click(`a[href$="/core/bgtask/${last.id}"]`)
    await page.click('main a[href$="/move"]')
    await page.fill('input[name=delay]', '1')
    await page.selectOption('select[name=delay_unit]', 'seconds')
    await page.click('main form .primary')
    await page.locator('.flash', { hasText: 'has another due time' }).waitFor()
    const done = await until('the network is on', async () => {
      const task = await findTask(background.db, last.id)
      return task?.state === 'succeeded' ? task : null
    })
    assert.equal(done.content, 'The network of Lab-1 is on again.')
    assert.equal(existsSync(file('Lab-1')), false)
    await page.goto(`${panel.address}/demo/network`)
    assert.doesNotMatch(await page.locator('.lines').innerText(), /Off/)
    const { tasks } = await listTasks(background.db, { uniqueKey: key.unique }, { limit: 10 })
    assert.deepEqual(
      tasks.map(({ state }) => state),
      ['succeeded', 'cancelled', 'cancelled', 'cancelled'],
    )
    assert.deepEqual(problems, [])

    // Two teachers press at once for one classroom: one has it, and the other is told by whom.
    await newUser(background.db, { name: 'bert', role: 'operator' })
    const teachers = await Promise.all(['admin', 'bert'].map(name => signedIn(panel, name)))
    const off = async (teacher: (typeof teachers)[number], classroom: string) => {
      await teacher.press('/demo/network', { classroom, length_s: '2700' })
    }
    const switchedOff = () =>
      ['101', '102', '201', '202', 'Lab-1', 'Lab-2']
        .filter(name => existsSync(file(name)))
        .map(
          name =>
            JSON.parse(readFileSync(file(name), 'utf8')) as { classroom: string; task: number; teacher: { id: number; name: string } },
        )
    await Promise.all(teachers.map(teacher => off(teacher, '202')))
    const [taken, ...others] = switchedOff()
    assert.deepEqual([taken!.classroom, others], ['202', []])
    const told = await Promise.all(teachers.map(teacher => teacher.page('/demo/network')))
    const [winner, loser] = taken!.teacher.name === 'admin' ? [0, 1] : [1, 0]
    assert.match(told[winner]!, /202 is off\. It comes back by itself/)
    assert.match(told[loser]!, new RegExp(`202 is off already, by ${taken!.teacher.name}\\. Choose another one`))
    assert.equal((await background.taskWithKey(`teacher:${taken!.teacher.id}`))?.id, taken!.task)
    assert.equal(await background.taskWithKey(`teacher:${3 - taken!.teacher.id}`), null)

    // One of them presses at once for several: one stays off, and its task holds the key.
    const [one] = teachers
    await Promise.all(['101', '102', '101', 'Lab-2'].map(classroom => off(one!, classroom)))
    const left = switchedOff().filter(({ teacher }) => teacher.name === 'admin')
    assert.equal(left.length, 1, JSON.stringify(left))
    assert.equal((await holder()).id, left[0]!.task)
    assert.deepEqual((await holder()).params, { classroom: left[0]!.classroom })
  })
}

const signedIn = async (panel: ServedPanel, name: string) => {
  const cookie = await cookiesOf(panel, name)
  const page = async (path: string) => (await fetch(panel.address + path, { headers: { cookie } })).text()
  const _csrf = /name="_csrf" value="([^"]+)"/.exec(await page('/demo/network'))![1]!
  const headers = { cookie, origin: panel.address }
  return {
    page,
    press: async (path: string, fields: Record<string, string>) => {
      const body = new URLSearchParams({ _csrf, ...fields })
      const { status } = await fetch(panel.address + path, { method: 'POST', redirect: 'manual', headers, body })
      assert.equal(status, 303)
    },
  }
}
