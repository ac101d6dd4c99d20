import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../../app/config.ts'
import { hold } from '../../app/runs/flags.ts'
import { EXEC_TYPE_FOREVER } from '../../app/task/task.ts'
import { canonicalAddress } from '../../app/web/addresses.ts'
import { openPanel } from '../helpers/open-panel.ts'

/*
 * The panel mounted at another address than /admin. What each route demands there is tried by every other test of this folder, when it is run
 * with BGTASK_TEST_PREFIX=/ops/bg.
 */

const prefix = '/ops/bg'

test('every page, link, form, redirect, asset and stream of the panel is below its prefix', { timeout: 120_000 }, async t => {
  const panel = await openPanel(t, { env: { BGTASK_PREFIX: prefix } })
  hold(panel.runtime, 'the test', Date.now())
  const admin = await panel.signIn('admin')
  await panel.background.addTask('test/forever', {}, { execType: EXEC_TYPE_FOREVER })
  const { id } = await panel.background.addTask('test/ok', {}, { type: 'a type' })
  const faults: string[] = []
  const isThere = (method: string, path: string) => panel.routes.some(route => route.method === method && fits(route.url, canonical(path)))

  const pages = new Map([[shape(prefix), prefix]])
  const forms = new Set<string>()
  const meet = (address: string, where: string) => {
    if (/^[a-z]+:/.test(address)) return
    const path = address.replace(/[?#].*/, '')
    if (!isInside(path)) faults.push(`${where} leads to ${address}`)
    else if (!isThere('GET', path)) faults.push(`${where} leads to ${address}, where nothing is`)
    else if (!path.startsWith(`${prefix}/live`) && !pages.has(shape(address))) pages.set(shape(address), address)
  }
  for (const address of pages.values()) {
    const answer = await fetch(`${panel.origin}${address}`, { headers: { cookie: admin.cookie }, redirect: 'manual' })
    if (answer.status >= 400) faults.push(`${address}: ${answer.status}`)
    const to = answer.headers.get('location')
    if (to !== null) meet(to, address)
    const text = await answer.text()
    if (/\/admin\b/.test(text)) faults.push(`${address} speaks of /admin: ${/.{0,80}\/admin\b.{0,40}/.exec(text)?.[0]}`)
    if (!answer.headers.get('content-type')?.startsWith('text/html')) continue
    for (const [, link] of text.matchAll(/\s(?:href|src)="([^"#][^"]*)"/g)) meet(link!.replaceAll('&amp;', '&'), address)
    for (const [, attributes] of text.matchAll(/<form\b([^>]*)>/g)) {
      const to = /\saction="([^"]*)"/.exec(attributes!)?.[1]
      const method = /method="post"/.test(attributes!) ? 'POST' : 'GET'
      if (to !== undefined) forms.add(`${method} ${to}`)
    }
    for (const [, to] of text.matchAll(/\sformaction="([^"]*)"/g)) forms.add(`POST ${to}`)
  }
  for (const form of forms) {
    const [method = '', to = ''] = form.split(' ')
    if (!isInside(to) || !isThere(method, to.replace(/\?.*/, ''))) faults.push(`no form may go to ${form}`)
  }
  assert.deepEqual(faults, [])
  assert.ok(pages.size > 25 && forms.size > 12, `${pages.size} pages, ${forms.size} forms`)
  assert.ok(pages.has(`${prefix}/core/bgtask/0`), [...pages.keys()].join('\n'))

  for (const [asked, expected] of [
    ['/', prefix],
    [`${prefix}/core/bgtask/${id}`, `${prefix}/login?next=${encodeURIComponent(`${prefix}/core/bgtask/${id}`)}`],
    [`${prefix}/login?next=${prefix}/core/bgtask`, null],
  ] as const) {
    const answer = await fetch(`${panel.origin}${asked}`, { redirect: 'manual' })
    assert.equal(answer.headers.get('location'), expected, asked)
  }
  assert.equal((await fetch(`${panel.origin}/admin`)).status, 404)
  assert.equal((await fetch(`${panel.origin}/healthz`)).status, 200)
  assert.match(await firstOfStream(`${panel.origin}${prefix}/live?page=${prefix}`, admin.cookie), /target="overview-body"/)
})

test('a prefix that cannot be one is refused with a sentence', async () => {
  for (const wrong of ['admin', '/', '/admin/', '//x', '/a b', '/x/../y', '/:tenant', '/*', '/api', '/api/v1', '/healthz', '/cron/x'])
    await assert.rejects(
      loadConfig({ BGTASK_PREFIX: wrong }),
      { code: 'misconfigured', message: /BGTASK_PREFIX is .*; it must be|take another/ },
      wrong,
    )
  for (const good of ['/admin', '/ops/bg', '/cronjobs', '/~me/bgtask-2.0'])
    assert.equal((await loadConfig({ BGTASK_PREFIX: good })).prefix, good)
})

test('an address is known under one name, however the panel is mounted', () => {
  const own = { root: '/ops/bg', top: '' }
  const inside = { root: '/ops/bg', top: '/ops/bg' }
  for (const [given, beside, below] of [
    ['/ops/bg', '/admin', '/admin'],
    ['/ops/bg/core/bgtask/:id', '/admin/core/bgtask/:id', '/admin/core/bgtask/:id'],
    ['/ops/bgx', '/ops/bgx', '/ops/bgx'],
    ['/ops/bg/api/v1/tasks', '/admin/api/v1/tasks', '/api/v1/tasks'],
    ['/ops/bg/healthz', '/admin/healthz', '/healthz'],
    ['/ops/bg/cronjobs', '/admin/cronjobs', '/admin/cronjobs'],
    ['/api/v1/tasks', '/api/v1/tasks', '/api/v1/tasks'],
  ] as const) {
    assert.equal(canonicalAddress(own, given), beside, given)
    assert.equal(canonicalAddress(inside, given), below, given)
  }
})

/** The demo page is the application's, and the overview leads to it. */
const isInside = (path: string) => path === prefix || path.startsWith(`${prefix}/`) || path.startsWith('/demo')

const canonical = (path: string) => canonicalAddress({ root: prefix, top: '' }, path)

const fits = (url: string, path: string) => new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`).test(path)

/** Of pages that differ by numbers and values alone one is enough. */
const shape = (address: string) => address.replace(/\d+/g, '0').replace(/=[^&]*/g, '')

const firstOfStream = async (url: string, cookie: string): Promise<string> => {
  const stop = new AbortController()
  const answer = await fetch(url, {
    headers: { cookie, accept: 'text/event-stream', 'sec-fetch-site': 'same-origin' },
    signal: stop.signal,
  })
  let text = ''
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    if (text.includes('target="bar"') && text.includes('</turbo-stream>\n\n') && text.split('<turbo-stream').length > 2) break
  }
  return text
}
