import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listAudit } from '../../app/store/audit.ts'
import { type Answer, freshAddress, type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let admin: SignedIn
const page = '/admin/config/tokens'
before(async () => {
  panel = await listenPanel()
  admin = await panel.signIn('admin')
})
after(() => panel.close())

/** A form's fields, of which some are there several times. */
const post = (url: string, fields: [string, string][], as = admin) =>
  panel.ask({
    method: 'POST',
    url,
    headers: { cookie: as.cookie, origin: panel.origin, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams([['_csrf', as.csrf], ...fields]).toString(),
    from: freshAddress(),
  })
const shownToken = ({ body }: Answer) => /<code>(bgt_\d+_[\w-]{43})<\/code>/.exec(body)?.[1]
const count = () => panel.sql('SELECT COUNT(*) AS n FROM bg_token')[0]!.n

test('made on the page: shown once, with lines that use it, and kept nowhere', async () => {
  const form = await panel.ask({ url: `${page}/new`, as: admin })
  assert.equal(form.status, 200)
  for (const value of ['task:read', 'loop:restart', 'test/*', 'test/ok']) assert.ok(form.body.includes(`value="${value}"`), value)
  assert.match(form.body, /<option value="90" selected>/)
  const answer = await post(page, [
    ['name', 'the <b>shop</b>'],
    ['scope', 'task:read'],
    ['scope', 'loop:restart'],
    ['action', 'test/*'],
    ['action', 'test/ok'],
    ['more', 'command:clear-cache,task:add:later/on\ntask:read'],
    ['life', '7'],
  ])
  assert.equal(answer.status, 200, answer.body.slice(0, 2_000))
  const text = shownToken(answer)
  assert.ok(text)
  assert.ok(answer.body.includes('the &#60;b&#62;shop&#60;/b&#62;') || answer.body.includes('the &lt;b&gt;shop&lt;/b&gt;'))
  assert.match(answer.body, /curl -H &quot;Authorization: Bearer bgt_/)
  const [row] = panel.sql('SELECT scopes, created_by, expires_at - created_at AS life FROM bg_token')
  assert.deepEqual(JSON.parse(String(row!.scopes)), [
    'task:read',
    'loop:restart',
    'task:add:test/*',
    'task:add:test/ok',
    'command:clear-cache',
    'task:add:later/on',
  ])
  assert.deepEqual([row!.created_by, row!.life], ['admin', 7 * 86_400_000])
  const used = await panel.ask({ url: '/api/v1/tasks/1', headers: { authorization: `Bearer ${text}` } })
  assert.equal(used.status, 404)
  const list = await panel.ask({ url: page, as: admin })
  assert.equal(list.status, 200)
  assert.ok(!list.body.includes(text.slice(-43)) && list.body.includes('task:add:test/*'))
  const session = panel.sql('SELECT data FROM bg_session').map(({ data }) => String(data))
  assert.ok(session.every(data => !data.includes(text.slice(-43))))
})

test('what cannot be is said over the form, which loses nothing', async () => {
  const before = count()
  for (const [fields, words] of [
    [[['name', 'x']], /at least one of/],
    [
      [
        ['name', 'x'],
        ['more', 'task:add:* task:read'],
      ],
      /would cover every action/,
    ],
    [
      [
        ['name', ''],
        ['scope', 'task:read'],
      ],
      /name is 0 characters long/,
    ],
    [
      [
        ['name', 'x'],
        ['scope', 'task:read'],
        ['life', '1e9'],
      ],
      /The time is/,
    ],
    [
      [
        ['name', 'x'],
        ['action', '"><script>'],
      ],
      /does not name an action/,
    ],
  ] as [[string, string][], RegExp][]) {
    const answer = await post(page, fields)
    assert.equal(answer.status, 422)
    assert.match(answer.body, words)
    assert.ok(!answer.body.includes('"><script>'))
  }
  const kept = await post(page, [
    ['name', 'kept'],
    ['scope', 'cron:run'],
    ['action', 'test/ok'],
    ['more', 'nonsense'],
    ['life', '365'],
  ])
  for (const part of [/value="kept"/, /value="cron:run" checked/, /value="test\/ok" checked/, />nonsense</, /value="365" selected/])
    assert.match(kept.body, part)
  assert.equal(count(), before)
})

test('revoking: once, with who did it, and the program is refused', async () => {
  const text = shownToken(
    await post(page, [
      ['name', 'old'],
      ['scope', 'task:read'],
    ]),
  )!
  const id = text.split('_')[1]!
  const revoked = await post(`${page}/${id}/revocation`, [])
  assert.deepEqual([revoked.status, revoked.headers.location], [303, page])
  const list = await panel.ask({ url: page, as: admin })
  assert.match(list.body, /The token old is revoked/)
  assert.ok(!list.body.includes(`${page}/${id}/revocation`))
  assert.equal((await panel.ask({ url: '/api/v1/tasks/1', headers: { authorization: `Bearer ${text}` } })).status, 401)
  assert.equal((await post(`${page}/${id}/revocation`, [])).status, 409)
  for (const wrong of ['999', '0', 'x', '-1', '1e3']) assert.equal((await post(`${page}/${wrong}/revocation`, [])).status, 404)
  const [row] = await listAudit(panel.background.db, { limit: 1, act: 'token-revoked' })
  assert.deepEqual([row?.userName, row?.via, row?.subject], ['admin', 'form', `old (token ${id})`])
})

test('who is no administrator comes nowhere near, and a proof that is old is asked for again', async () => {
  const before = count()
  for (const role of ['viewer', 'operator']) {
    const as = await panel.signIn(role)
    for (const url of [page, `${page}/new`]) assert.equal((await panel.ask({ url, as })).status, 403)
    assert.equal((await post(page, [['name', 'x']], as)).status, 403)
    assert.equal((await post(`${page}/1/revocation`, [], as)).status, 403)
  }
  for (const name of [`POST ${page}`, `POST ${page}/:id/revocation`])
    assert.equal(panel.routes.find(route => route.name === name)?.fresh, true, name)
  const late = await panel.signIn('admin')
  const [row] = panel.sql('SELECT data FROM bg_session WHERE id_hash = ?', late.hash)
  const data = { ...(JSON.parse(String(row!.data)) as object), provedAt: Date.now() - 6 * 60_000 }
  panel.sql('UPDATE bg_session SET data = ? WHERE id_hash = ?', JSON.stringify(data), late.hash)
  const asked = await post(
    page,
    [
      ['name', 'late'],
      ['scope', 'task:read'],
      ['scope', 'cron:run'],
      ['action', 'test/ok'],
    ],
    late,
  )
  assert.equal(asked.status, 403)
  for (const field of [
    'name="name" value="late"',
    'name="scope" value="task:read"',
    'name="scope" value="cron:run"',
    'name="action" value="test/ok"',
  ])
    assert.ok(asked.body.includes(field), field)
  assert.equal(count(), before)
})

test('hundreds of tokens are told in pages', async () => {
  const insert = "INSERT INTO bg_token (name, token_hash, scopes, created_by, created_at) VALUES (?, ?, '[\"task:read\"]', 'kim', 1000)"
  for (let index = 0; index < 120; index++) panel.sql(insert, `many ${index}`, `${index}`.padStart(64, '0'))
  const names = ({ body }: Answer) => [...body.matchAll(/>(many \d+) </g)].map(found => found[1]!)
  const first = await panel.ask({ url: page, as: admin })
  assert.equal(names(first).length, 50)
  const older = /href="(\/admin\/config\/tokens\?before=\d+)"/.exec(first.body)![1]!
  const second = await panel.ask({ url: older, as: admin })
  assert.equal(new Set([...names(first), ...names(second)]).size, 100)
  for (const before of ['x', '-1', '0', '99999999999999999999', '%00', "1' OR 1=1"])
    assert.equal((await panel.ask({ url: `${page}?before=${encodeURIComponent(before)}`, as: admin })).status, 200)
})
