import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { type Background, openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { listAudit } from '../../app/store/audit.ts'
import { password, type ServedPanel, servePanel, signInByForm } from '../helpers/browser.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()

const backgroundOf = async (panel: ServedPanel): Promise<Background> =>
  openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime }), { migrate: false })

for (const script of [true, false]) {
  test(`from the first link to a loop that is stopped and started again, ${script ? 'with' : 'without'} script`, {
    skip,
    timeout: 120_000,
  }, async t => {
    const panel = await servePanel(t)
    const { page, problems } = await openBrowser(t, { script })
    /** Without script a page is loaded anew to see what has become. */
    const see = async (selector: string, text: string | RegExp) => {
      if (script) return page.locator(selector).filter({ hasText: text }).first().waitFor()
      return until(`${selector} says ${text}`, async () => {
        if ((await page.locator(selector).filter({ hasText: text }).count()) > 0) return true
        await page.reload()
        return false
      })
    }

    // The first administrator, by the link in the terminal; it works once.
    await page.goto(panel.setupLink!)
    if (!script) await page.fill('#f-token', new URL(panel.setupLink!).hash.slice(1))
    await page.fill('#f-name', 'Olga')
    await page.fill('#f-password', password)
    await page.fill('#f-repeated', `${password}!`)
    await page.click('main button')
    await page.locator('[role=alert]', { hasText: 'differ' }).waitFor()
    await page.fill('#f-password', password)
    await page.fill('#f-repeated', password)
    await page.click('main button')
    await page.waitForURL('**/admin')

    // That visit has started the loop.
    await see('#bar', 'Supervisor up')
    const first = await until('the supervisor runs', () => readSupervisor(panel.runtime))
    assert.match(await page.locator('main').innerText(), /Your first loop in a minute/)

    // A loop, added by the form that was made from its schema.
    await page.click('text=New task')
    await page.click('text=demo/heartbeat')
    await page.fill('[name="params.intervalMs"]', '200')
    await page.click('text=Add task')
    await page.waitForURL('**/admin/core/bgtask/1')
    await see('.pill', 'Running')
    await see('#output', 'iteration=3')
    if (script) {
      // Lines carry the time at which they were printed: how old are they when they appear?
      const lateMs = await page.evaluate<number[]>(measureLateness)
      t.diagnostic(`a line of output is on the screen after ${lateMs.join(', ')} ms`)
      assert.ok(lateMs.sort((a, b) => a - b)[5]! < 500, lateMs.join(', '))
    }

    // A debug run of one iteration, which leaves the task alone.
    await page.click('.task-head >> text=Debug')
    await page.click('main button')
    await page.locator('#debug-end').waitFor()
    assert.match(await page.locator('#debug-output').innerText(), /alive/)
    assert.match(await page.locator('#debug-end').innerText(), /ended well[\s\S]*Exit code\s*0/)
    await page.goto(`${panel.address}/admin/core/bgtask/debug?id=99`)
    assert.match(await page.locator('[role=alert]').innerText(), /Task 99 does not exist/)

    // Stop and start of one loop.
    await page.goto(`${panel.address}/admin/core/bgtask/1`)
    await page.click('.task-head button:has-text("Stop")')
    await see('.pill', 'Stopped')
    assert.match(await page.locator('.why').innerText(), /stopped/i)
    await page.click('.task-head button:has-text("Start")')
    await see('.pill', 'Running')

    // The address that stops the supervisor: typed, it asks; then it does.
    await page.goto(`${panel.address}/admin/core/bgtask/restart`)
    await page.click('text=Stop it')
    await page.waitForURL('**/admin')
    // On a page that starts nothing when it is loaded anew.
    await page.goto(`${panel.address}/admin/core/bgtask`)
    await see('#bar', 'Supervisor down')
    assert.equal(readSupervisor(panel.runtime), null)
    // The next visit starts a fresh one.
    await until('the next visit starts it', async () => {
      await page.goto(`${panel.address}/admin`)
      return readSupervisor(panel.runtime)
    })
    await see('#bar', 'Supervisor up')
    const second = readSupervisor(panel.runtime)!
    assert.notEqual(second.epoch, first.epoch)
    await page.goto(`${panel.address}/admin/core/bgtask/1`)
    await see('.pill', 'Running')

    // Stopped for good, then deleted; the list says how to fill it.
    await page.click('.task-head button:has-text("Stop")')
    await see('.pill', 'Stopped')
    await page.click('summary:has-text("Delete")')
    await page.click('.ask-box button')
    await page.waitForURL('**/admin/core/bgtask')
    assert.match(await page.locator('main').innerText(), /There are no tasks yet/)

    await page.click('.menu summary')
    await page.click('text=Sign out')
    await page.waitForURL('**/admin/login')
    await page.goto(panel.setupLink!)
    assert.match(await page.locator('main').innerText(), /used up/)
    // A page that is refused or not there shows in the console of the browser; nothing else may.
    assert.deepEqual(
      problems.filter(problem => !/status of 4(04|10|22)/.test(problem)),
      [],
    )
  })
}

test('what changes is on the open page by itself; a lost connection is told, and caught up with', { skip, timeout: 90_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const { page } = await openBrowser(t)
  const background = await backgroundOf(panel)
  t.after(() => background.close())
  await signInByForm(page, panel)
  await page.goto(`${panel.address}/admin/core/bgtask`)
  await page.locator('text=There are no tasks yet').waitFor()
  await background.addTask('demo/greet', { name: 'you' })
  await page.locator('#task-rows .pill', { hasText: 'Succeeded' }).waitFor()
  await page.locator('#task-rows', { hasText: 'Hello, you.' }).waitFor()

  // What the reader has opened stays open while the page changes under it.
  const later = await background.addTask('demo/greet', {}, { delayMs: 3_600_000 })
  await page.goto(`${panel.address}/admin/core/bgtask/${later.id}`)
  await page.click('summary:has-text("Cancel")')
  await background.db.kysely
    .updateTable('bg_task')
    .set({ run_at: Date.now() + 7_200_000 })
    .where('id', '=', later.id)
    .execute()
  await page.locator('.why', { hasText: 'in 2 hours' }).waitFor()
  assert.ok(await page.locator('.ask-box').isVisible())

  await page.goto(`${panel.address}/admin`)
  await page.locator('.tiles', { hasText: 'Waiting' }).waitFor()
  // The panel dies and comes back on the same port, with a task that was added meanwhile.
  panel.process.kill('SIGKILL')
  await page.locator('#live-note', { hasText: 'Connection lost' }).waitFor()
  await background.addTask('demo/greet', { name: 'meanwhile' })
  await panel.again()
  await page.locator('#overview-body', { hasText: 'Hello, meanwhile.' }).waitFor()
  await page.locator('#live-note').waitFor({ state: 'hidden' })
})

test('no page of another site starts or stops anything; a link from there is read all the same', { skip, timeout: 120_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const { page } = await openBrowser(t)
  const background = await backgroundOf(panel)
  t.after(() => background.close())
  const task = await background.addTask('demo/greet', {}, { delayMs: 3_600_000 })
  await signInByForm(page, panel)
  await until('the supervisor runs', () => readSupervisor(panel.runtime))
  const { epoch } = readSupervisor(panel.runtime)!

  const stop = `${panel.address}/admin/core/bgtask/restart`
  const target = new URL(panel.address)
  const foreign = createServer((request, response) => {
    if (request.url === '/redirect') {
      response.writeHead(302, { location: stop }).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><title>elsewhere</title>
      <a id="redirect" href="/redirect">x</a> <a id="task" href="${panel.address}/admin/core/bgtask/${task.id}">x</a>
      <form id="post" method="post" action="${stop}"><button>x</button></form>
      <img src="${stop}"><iframe src="${stop}"></iframe>
      <script>fetch('${stop}', { mode: 'no-cors', credentials: 'include' }); fetch('${stop}', { method: 'POST', mode: 'no-cors', credentials: 'include' })</script>`)
  }).listen(0, '127.0.0.1')
  await once(foreign, 'listening')
  t.after(() => foreign.close())
  const { port } = foreign.address() as { port: number }
  // Another name is another site; another port of the same name is the same site, and shares its cookies.
  // With a supervisor that really runs, one way that leads away from each; foreign-pages.ts tries all of them.
  for (const [name, way] of [
    ['localhost', '#redirect'],
    [target.hostname, '#post button'],
  ] as const) {
    await page.goto(`http://${name}:${port}/`)
    await page.waitForLoadState('networkidle')
    await page.click(way)
    await page.waitForURL(url => url.port === target.port)
    await page.waitForLoadState('networkidle')
  }
  await page.goto(`http://localhost:${port}/`)
  await page.click('#task')
  await page.locator('#task-head', { hasText: 'demo/greet' }).waitFor()
  assert.equal(readSupervisor(panel.runtime)?.epoch, epoch)
  assert.equal(readSupervisor(panel.runtime)?.phase, 'running')
  const acts = (await listAudit(background.db, { limit: 100 })).map(({ act }) => act)
  assert.deepEqual(
    acts.filter(act => act === 'loop-stopped'),
    [],
  )
  assert.equal(acts.filter(act => act === 'loop-started').length, 1)
})

test('the same pages in Chinese, and in the theme that was chosen', { skip, timeout: 60_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const { page } = await openBrowser(t, { locale: 'zh-CN' })
  await signInByForm(page, panel)
  assert.match(await page.locator('nav').innerText(), /概览/)
  await page.click('button:has-text("English")')
  await page.locator('nav', { hasText: 'Overview' }).waitFor()
  await page.click('button:has-text("Dark")')
  await page.locator('html[data-theme=dark]').waitFor()
  const ground = await page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
  assert.match(ground, /^rgb\((\d|[1-4]\d), /)
})

/** Runs in the browser. */
const measureLateness = `new Promise(resolve => {
  const late = []
  new MutationObserver(changes => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) {
        const at = /(\\S+Z) INFO/.exec(node.textContent)?.[1]
        if (at) late.push(Date.now() - Date.parse(at))
      }
    }
    if (late.length >= 10) resolve(late)
  }).observe(document.querySelector('#output'), { childList: true })
})`
