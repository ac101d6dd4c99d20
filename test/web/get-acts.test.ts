import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { whyNotStart } from '../../app/api/start-loop.ts'
import { hold, readFlag, readHold, releaseHold } from '../../app/runs/flags.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { listAudit } from '../../app/store/audit.ts'
import { stopToken } from '../../app/web/restart-link.ts'
import { readSessionSecret } from '../../app/web/session-secret.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { passTime } from '../helpers/pass-time.ts'
import { until } from '../helpers/scene.ts'

/* The two addresses that act when they are only asked for: /admin starts the loop, /admin/core/bgtask/restart stops it. */

const restart = '/admin/core/bgtask/restart'
let panel: ListeningPanel
let viewer: SignedIn
let operator: SignedIn
type Headers = Record<string, string>

before(async () => {
  panel = await listenPanel()
  viewer = await panel.signIn('viewer')
  operator = await panel.signIn('operator')
})
after(() => panel.close())
// What was done by the test before keeps nobody waiting.
beforeEach(() => passTime(60_000))

const page = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const click = { ...page, 'sec-fetch-site': 'same-origin', 'sec-fetch-user': '?1' }
const { 'sec-fetch-user': _user, ...unclicked } = click
const typed = { ...page, 'sec-fetch-site': 'none', 'sec-fetch-user': '?1' }
const fromOurs = () => ({ referer: `${panel.origin}/admin/core/bgtask` })

/** Asked for before anybody has seen it. */
const ahead: Headers[] = ['prefetch', 'prefetch;prerender', 'prerender'].flatMap((value): Headers[] => [
  { ...click, 'sec-purpose': value },
  { ...click, purpose: value },
  { ...click, 'x-moz': value },
  { ...typed, 'sec-purpose': value },
  { purpose: value },
])
/** Asked for by something that is no page. */
const parts: Headers[] = [
  ['no-cors', 'image'],
  ['navigate', 'iframe'],
  ['navigate', 'frame'],
  ['navigate', 'embed'],
  ['navigate', 'object'],
  ['cors', 'empty'],
  ['same-origin', 'empty'],
  ['no-cors', 'script'],
  ['no-cors', 'document'],
  ['websocket', 'websocket'],
].flatMap(([mode = '', dest = '']) =>
  ['same-origin', 'none', 'same-site', 'cross-site'].map(site => ({
    'sec-fetch-mode': mode,
    'sec-fetch-dest': dest,
    'sec-fetch-site': site,
    'sec-fetch-user': '?1',
  })),
)
/** Caused by a page of somebody else: a link, a form, a redirect. */
const elsewhere: Headers[] = [
  ...['cross-site', 'same-site', '', 'SAME-ORIGIN', 'same-origin, none'].map(site => ({ ...click, 'sec-fetch-site': site })),
  { referer: 'http://evil.example/' },
  { referer: 'http://127.0.0.1:1/admin' },
  { referer: 'https://127.0.0.1/admin' },
  { referer: 'nonsense' },
  { referer: '' },
  { ...page, 'sec-fetch-site': 'cross-site', referer: 'http://127.0.0.1/' },
]

/** Ends the supervisor, and waits until the panel, whose child it is, knows. */
const endLoop = async () => {
  await panel.endLoop()
  await until('the panel knows that it has ended', () => whyNotStart(panel.config, { releaseHold: true }) === null)
}
const acts = async (name: string) =>
  (await listAudit(panel.background.db, { limit: 1_000, act: name })).map(({ via, userName }) => `${via} ${userName}`)
const look = async (url: string, headers: Headers, as: SignedIn | null = operator) => {
  const answer = await panel.ask({ url, headers, as })
  return { ...answer, body: answer.body.slice(answer.body.indexOf('<main')) }
}

test('a visit to /admin that somebody else caused, or nobody sees, starts nothing', async () => {
  for (const headers of [...ahead, ...parts, ...elsewhere]) {
    const { status } = await look('/admin', headers)
    assert.equal(status, 200, JSON.stringify(headers))
    assert.equal(readSupervisor(panel.runtime), null, JSON.stringify(headers))
  }
  for (const method of ['HEAD', 'OPTIONS', 'TRACE', 'PROPFIND']) {
    const { status } = await panel.ask({ method, url: '/admin', as: operator, headers: click })
    assert.ok(status >= 400 && status < 500, `${method}: ${status}`)
  }
  assert.equal((await look('/admin', click, viewer)).status, 200, 'a viewer may look')
  assert.equal((await look('/admin', click, null)).status, 303)
  assert.equal(readSupervisor(panel.runtime), null)
  assert.deepEqual(await acts('loop-started'), [])
})

test('the wrong classes are refused by their Referer as well as by a header that lies about the site', async () => {
  for (const headers of [
    { ...fromOurs(), ...elsewhere[0]! },
    { ...fromOurs(), ...parts[0]! },
    { ...fromOurs(), purpose: 'prefetch' },
  ])
    await look('/admin', headers)
  assert.equal(readSupervisor(panel.runtime), null)
})

test('a visit starts the loop once, and the audit says of which kind it was', async () => {
  for (const [via, headers] of [
    ['ours', unclicked],
    ['ours', click],
    ['typed', typed],
    ['typed', {}],
    ['weak', fromOurs()],
  ] as [string, Headers][]) {
    passTime(6_000)
    const before = await acts('loop-started')
    const { status, body } = await look('/admin', headers)
    assert.equal(status, 200)
    assert.match(body, /your visit started it/)
    const { epoch } = await until(`${via} starts it`, () => readSupervisor(panel.runtime))
    passTime(6_000)
    assert.doesNotMatch((await look('/admin', headers)).body, /your visit started it/)
    assert.equal(readSupervisor(panel.runtime)?.epoch, epoch)
    assert.deepEqual(await acts('loop-started'), [`${via} operator`, ...before])
    await endLoop()
  }
})

test('starts are 5 s apart; a visit within that only looks, a button says how long', async () => {
  assert.match((await look('/admin', click)).body, /your visit started it/)
  const startedAt = performance.now()
  await until('it runs', () => readSupervisor(panel.runtime))
  const press = () => panel.ask({ method: 'POST', url: '/admin/core/bgtask/loop/start', as: operator, body: {} })
  const idle = await press()
  assert.equal(idle.status, 303, 'nothing is to be done, so nobody has to wait for it')
  assert.match((await look('/admin', click)).body, /The supervisor runs already/)
  await endLoop()
  const before = await acts('loop-started')
  // However long that took on this machine: no second has passed.
  passTime(startedAt - performance.now())
  assert.doesNotMatch((await look('/admin', click)).body, /your visit started it/)
  const refused = await press()
  assert.equal(refused.status, 429)
  assert.ok(Number(refused.headers['retry-after']) >= 1 && Number(refused.headers['retry-after']) <= 5)
  assert.match(refused.body, /That was done just before\. Wait \d s/)
  assert.equal(readSupervisor(panel.runtime), null)
  assert.deepEqual(await acts('loop-started'), before)
  passTime(5_000)
  assert.equal((await press()).status, 303)
  await until('it runs again', () => readSupervisor(panel.runtime))
  assert.deepEqual(await acts('loop-started'), ['form operator', ...before])
  await endLoop()
})

test('a hold is overridden by no visit, only by whoever releases it, and that is told', async () => {
  hold(panel.runtime, 'eva', Date.now())
  try {
    for (const headers of [click, typed, {}, fromOurs()]) assert.equal((await look('/admin', headers)).status, 200)
    assert.equal(readSupervisor(panel.runtime), null)
    assert.equal(readHold(panel.runtime)?.by, 'eva')
    const released = await panel.ask({ method: 'POST', url: '/admin/core/bgtask/loop/start', as: operator, body: {} })
    assert.equal(released.status, 303)
    await until('it runs', () => readSupervisor(panel.runtime))
    assert.equal(readHold(panel.runtime), null)
    assert.deepEqual(await acts('loop-released'), ['form operator'])
  } finally {
    releaseHold(panel.runtime)
    await endLoop()
  }
})

const stopFlag = () => readFlag(runtimePaths(panel.runtime).stop)
const linkTo = (epoch: string) => `${restart}?k=${stopToken({ secret: readSessionSecret(panel.runtime) }, epoch)}`

test('the address that stops asks, unless a person clicked on a page of ours', async () => {
  panel.standIn()
  try {
    // A page elsewhere that goes back in the history makes a browser send all of a click but the Referer.
    const back = click
    const asking = [
      ...ahead,
      ...parts,
      ...elsewhere,
      back,
      unclicked,
      { ...unclicked, ...fromOurs() },
      typed,
      {},
      fromOurs(),
      { ...typed, ...fromOurs() },
    ]
    const before = await acts('loop-stopped')
    for (const headers of asking) {
      const { status, body } = await look(restart, headers)
      assert.equal(status, 200, JSON.stringify(headers))
      assert.match(body, /name="_csrf"[\s\S]*Stop it/)
      assert.equal(stopFlag(), null, JSON.stringify(headers))
    }
    // Sent on by the login page, which goes wherever a link elsewhere says.
    for (const path of ['/admin/login', '/admin/login?next=%2Fadmin%2Fcore%2Fbgtask%2Frestart', '/admin/login/x']) {
      assert.equal((await look(restart, { ...click, referer: panel.origin + path })).status, 200)
    }
    assert.equal((await look(`${restart}?ask=1`, click)).status, 200, 'the address of a link that only asks')
    for (const method of ['HEAD', 'OPTIONS', 'TRACE']) {
      const { status } = await panel.ask({ method, url: restart, as: operator, headers: click })
      assert.ok(status >= 400 && status < 500, `${method}: ${status}`)
    }
    assert.equal((await look(restart, click, viewer)).status, 403)
    assert.equal((await look(restart, click, null)).status, 303)
    assert.equal(stopFlag(), null)
    assert.deepEqual(await acts('loop-stopped'), before)

    const answer = await look(restart, { ...click, ...fromOurs() })
    assert.deepEqual([answer.status, answer.headers.location], [303, '/admin'])
    assert.equal(stopFlag()?.by, 'operator')
    assert.deepEqual(await acts('loop-stopped'), ['ours operator', ...before])
  } finally {
    panel.standDown()
  }
})

test('a link elsewhere that leads over the login page stops nothing, whoever is signed in', async () => {
  panel.standIn()
  try {
    const over = await look(`/admin/login?next=${encodeURIComponent(restart)}`, unclicked)
    assert.deepEqual([over.status, over.headers.location], [303, restart])
    // Even if the browser took that for a click on a page of ours.
    assert.equal((await look(restart, { ...click, ...fromOurs() })).status, 200)
    assert.equal(stopFlag(), null)
    assert.equal((await look(restart, { ...click, ...fromOurs() })).status, 303, 'it counts for one page, not for the next')
  } finally {
    panel.standDown()
  }
})

test('a link stops the life that it was made for, once, and asks after that', async () => {
  const epoch = panel.standIn()
  try {
    const confirm = await look(`${restart}?ask=1`, click)
    const shown = /<code>([^<]*\?k=[^<]*)<\/code>/.exec(confirm.body)?.[1]
    assert.equal(shown, panel.origin + linkTo(epoch))
    const before = await acts('loop-stopped')
    for (const headers of [...ahead, ...parts]) {
      const { status } = await look(linkTo(epoch), headers)
      assert.equal(status, 200, JSON.stringify(headers))
      assert.equal(stopFlag(), null, JSON.stringify(headers))
    }
    const wrong = [
      '',
      'x',
      'A'.repeat(43),
      `${linkTo(epoch).split('k=')[1]}x`,
      linkTo(epoch).split('k=')[1]!.slice(0, -1),
      linkTo('another').split('k=')[1],
    ]
    for (const k of wrong) {
      const { status, body } = await look(`${restart}?k=${k}`, click)
      assert.deepEqual([status, stopFlag()], [200, null], k)
      assert.match(body, /This link stops nothing/)
    }
    assert.equal((await look(linkTo(epoch), click, viewer)).status, 403)
    const outside = await look(linkTo(epoch), typed, null)
    assert.equal(outside.status, 303)
    assert.match(String(outside.headers.location), /^\/admin\/login\?next=.*k%3D/)
    assert.equal((await panel.ask({ method: 'HEAD', url: linkTo(epoch), as: operator, headers: click })).status >= 400, true)
    assert.equal(stopFlag(), null)

    const answer = await look(linkTo(epoch), typed)
    assert.deepEqual([answer.status, answer.headers.location], [303, '/admin'])
    assert.equal(stopFlag()?.epoch, epoch)
    assert.deepEqual(await acts('loop-stopped'), ['link operator', ...before])
    // While it is stopping, and by a second press: it was used.
    const again = await look(linkTo(epoch), typed)
    assert.equal(again.status, 200)
    assert.match(again.body, /This link stops nothing[\s\S]*It is stopping already/)
    assert.deepEqual(await acts('loop-stopped'), ['link operator', ...before])

    panel.standDown()
    assert.match((await look(linkTo(epoch), typed)).body, /This link stops nothing[\s\S]*does not run/)
    panel.standIn()
    const old = await look(linkTo(epoch), typed)
    assert.equal(old.status, 200)
    assert.match(old.body, /This link stops nothing[\s\S]*Stop it/)
    assert.equal(stopFlag(), null)
  } finally {
    panel.standDown()
  }
})

test('a link that is opened before signing in works after it', async () => {
  const epoch = panel.standIn()
  try {
    // As browsers do: without the cookie first (SameSite=Strict), then once more from the page that goes on by itself.
    const first = await look(linkTo(epoch), { ...click, 'sec-fetch-site': 'cross-site' }, null)
    const login = String(first.headers.location)
    assert.equal((await look(login, { ...click, 'sec-fetch-site': 'cross-site' }, null)).status, 200)
    const second = await look(login, { ...unclicked, referer: panel.origin + login })
    assert.equal(second.headers.location, linkTo(epoch))
    assert.equal((await look(linkTo(epoch), { ...unclicked, referer: panel.origin + login })).status, 303)
    assert.equal(stopFlag()?.epoch, epoch)
  } finally {
    panel.standDown()
  }
})

test('what a form of the confirmation page leads back to stops nothing: theme and language are chosen there', async () => {
  panel.standIn()
  try {
    // The browser calls what follows such a redirect a click on that very page.
    const back = { ...click, referer: `${panel.origin}${restart}` }
    assert.equal((await look(restart, back)).status, 200)
    const chosen = await panel.ask({ method: 'POST', url: '/admin/preferences', as: operator, body: { theme: 'dark', next: restart } })
    assert.deepEqual([chosen.status, chosen.headers.location], [303, restart])
    assert.equal((await look(restart, { ...click, ...fromOurs() })).status, 200)
    assert.equal(stopFlag(), null)
  } finally {
    panel.standDown()
  }
})

test('stops are 10 s apart, whichever way they come; a hold waits for nobody, and nothing done is not counted', async () => {
  const press = (what: string) => panel.ask({ method: 'POST', url: `/admin/core/bgtask/${what}`, as: operator, body: {} })
  try {
    assert.equal((await press('loop/stop')).status, 303)
    panel.standIn()
    assert.equal((await press('restart')).status, 303)
    assert.equal((await press('restart')).status, 303, 'it is stopping already')
    panel.standDown()
    const before = await acts('loop-stopped')
    const epoch = panel.standIn()
    // The page that a stop leads to.
    await look('/admin', click)
    const clicked = { ...click, ...fromOurs() }
    for (const ask of [() => press('restart'), () => press('loop/stop'), () => look(restart, clicked), () => look(linkTo(epoch), typed)]) {
      const answer = await ask()
      assert.equal(answer.status, 429)
      const wait = Number(answer.headers['retry-after'])
      assert.ok(wait >= 1 && wait <= 10, String(wait))
      assert.match(answer.body, /That was done just before\. Wait/)
      assert.equal(stopFlag(), null)
    }
    assert.deepEqual(await acts('loop-stopped'), before)
    assert.equal((await press('loop/hold')).status, 303)
    assert.equal(readHold(panel.runtime)?.by, 'operator')
    assert.equal(stopFlag()?.epoch, epoch)
    assert.equal((await acts('loop-held')).length, 1)
    releaseHold(panel.runtime)
    panel.standDown()
    panel.standIn()
    passTime(10_000)
    assert.equal((await press('restart')).status, 303)
    assert.deepEqual(await acts('loop-stopped'), ['form operator', ...before])
  } finally {
    releaseHold(panel.runtime)
    panel.standDown()
  }
})

test('the page after a stop does not start at once what was just stopped', async () => {
  panel.standIn()
  try {
    await panel.ask({ method: 'POST', url: restart, as: operator, body: {} })
    panel.standDown()
    assert.match((await look('/admin', { ...click, referer: panel.origin + restart })).body, /The supervisor is stopping/)
    assert.equal(readSupervisor(panel.runtime), null)
    assert.match((await look('/admin', click)).body, /your visit started it/)
    await until('the next visit starts it', () => readSupervisor(panel.runtime))
  } finally {
    await endLoop()
    panel.standDown()
  }
})
