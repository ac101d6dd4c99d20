import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { linesLimits } from '../../../app/web/api/read-lines.ts'
import { type Answer, freshAddress, type ListeningPanel, listenPanel } from '../../helpers/listening-panel.ts'
import { until } from '../../helpers/scene.ts'
import { dialects } from '../../store/dialects.ts'
import { askWith, codeIn, makeTestToken, sentenceIn } from './ask-with.ts'
import { openServing } from './serving.ts'

let panel: ListeningPanel
before(async () => {
  panel = await listenPanel()
})
after(() => panel.close())

interface LineAnswer {
  line?: number
  id?: number
  uid?: string
  added?: boolean
  error?: { code: string; message: string }
  stopped?: { line: number; error: { code: string; message: string } }
  end?: { lines: number; added: number; kept: number; refused: number }
}
const linesOf = ({ body }: Pick<Answer, 'body'>): LineAnswer[] =>
  body
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as LineAnswer)
const wish = (n: number, more: object = {}) => `${JSON.stringify({ action: 'test/ok', params: { n }, ...more })}\n`
const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => wish(from + index)).join('')
const ndjson = { 'content-type': 'application/x-ndjson' }
/** How often each `n` was added, by its params. */
const added = async (of: Pick<ListeningPanel, 'background'>): Promise<Map<number, number>> => {
  const rows = await of.background.db.kysely.selectFrom('bg_task').select('params').execute()
  const counts = new Map<number, number>()
  for (const { params } of rows) {
    const { n } = JSON.parse(params) as { n?: number }
    if (n !== undefined) counts.set(n, (counts.get(n) ?? 0) + 1)
  }
  return counts
}

test('each line answers for itself: a bad one is told with its number, and the others are stored', async () => {
  const { text, id } = await makeTestToken(panel, ['task:add:test/*'], 'lines')
  await panel.background.addTask('test/ok', {}, { unique: 'held', delayMs: 60_000 })
  const body = [
    wish(1),
    '\n',
    '{"action": "test/ok"\n',
    wish(4, { action: 'demo/other' }),
    wish(5, { options: { unique: 'held' } }),
    wish(6, { options: { unique: 'held', onConflict: 'reject' } }),
    wish(7, { option: {} }),
    '   \r\n',
    `${JSON.stringify({ action: 'test/ok', params: { text: 'x'.repeat(linesLimits.lineBytes) } })}\n`,
    '{"__proto__": {"a": 1}, "action": "test/ok"}\n',
    'null\n',
    `${'['.repeat(100)}${']'.repeat(100)}\n`,
    wish(13, { action: 'test/nothing' }),
    wish(14).trimEnd(),
  ].join('')
  const answer = await askWith(panel, text)('POST', '/tasks', body, ndjson)
  assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'application/x-ndjson'])
  const told = linesOf(answer)
  assert.deepEqual(
    told.map(({ line, error, added }) => [line, error?.code ?? added]),
    [
      [1, true],
      [3, 'refused'],
      [4, 'scope-missing'],
      [5, false],
      [6, 'conflict'],
      [7, 'refused'],
      [9, 'refused'],
      [10, 'refused'],
      [11, 'refused'],
      [12, 'refused'],
      [13, 'refused'],
      [14, true],
      [undefined, undefined],
    ],
  )
  assert.deepEqual(told.at(-1)?.end, { lines: 12, added: 2, kept: 1, refused: 9 })
  for (const [line, words] of [
    [3, /cannot be read: it is not JSON/],
    [6, /The unique key "held" is held by task/],
    [7, /option is not known; allowed are action, params, options/],
    [9, /longer than 256 kB/],
    [12, /nested deeper than/],
    [13, /There is no action "test\/nothing"/],
  ] as const)
    assert.match(told.find(one => one.line === line)!.error!.message, words)
  const audit = panel.sql("SELECT detail FROM bg_audit WHERE user_name = ? AND act LIKE 'task%'", `lines (token ${id})`)
  assert.ok(audit.length > 0)
})

for (const dialect of dialects) {
  test(`${dialect.name}: 10,000 in one request, cut in the middle and sent again: nothing twice, nothing lost`, {
    skip: dialect.skip,
  }, async t => {
    const of = dialect.name === 'SQLite' ? panel : await listenPanel({ env: { DATABASE_URL: await dialect.newUrl() } })
    if (of !== panel) t.after(() => of.close())
    const { text } = await makeTestToken(of, ['task:add:test/*'])
    const before = (await added(of)).size
    const head = (length: number) =>
      `POST /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:${of.port}\r\nAuthorization: Bearer ${text}\r\n` +
      `Content-Type: application/x-ndjson\r\nIdempotency-Key: ten-thousand\r\nContent-Length: ${length}\r\n\r\n`
    const body = lines(100_001, 110_000)
    // In the middle of a line, and of a transaction: some are stored, and nobody knows which.
    const socket = connect(of.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(head(body.length) + body.slice(0, body.length * 0.6))
    await until('some are stored', async () => (await added(of)).size - before > 1_000)
    socket.destroy()
    const ask = askWith(of, text)
    const first = linesOf(await ask('POST', '/tasks', body, { ...ndjson, 'idempotency-key': 'ten-thousand' }))
    assert.deepEqual(first.at(-1)?.end, { lines: 10_000, added: 10_000, kept: 0, refused: 0 })
    assert.deepEqual([first.length, new Set(first.map(({ uid }) => uid)).size], [10_001, 10_001])
    const counts = [...(await added(of))].filter(([n]) => n > 100_000)
    assert.deepEqual([counts.length, counts.filter(([, times]) => times !== 1)], [10_000, []])
    const again = await ask('POST', '/tasks', body, { ...ndjson, 'idempotency-key': 'ten-thousand' })
    assert.deepEqual(linesOf(again), first, 'answered alike, from the first to the last')
    // Only the end of it, by its number; and what was another line the first time.
    const tail = linesOf(await ask('POST', '/tasks?first=9999', lines(109_999, 110_002), { ...ndjson, 'idempotency-key': 'ten-thousand' }))
    assert.deepEqual(tail.slice(0, 2), first.slice(9_998, 10_000))
    assert.deepEqual(tail.at(-1)?.end, { lines: 4, added: 4, kept: 0, refused: 0 })
    const strange = linesOf(await ask('POST', '/tasks', wish(7), { ...ndjson, 'idempotency-key': 'ten-thousand' }))
    assert.match(strange[0]!.error!.message, /the line was another one the first time/)
    const gap = await ask('POST', '/tasks?first=20000', wish(7), { ...ndjson, 'idempotency-key': 'ten-thousand' })
    assert.equal(gap.status, 422)
    assert.match(sentenceIn(gap), /10002 lines are done: go on with line 10003/)
  })
}

test('two requests of the same lines at the same time add each once', async () => {
  const { text } = await makeTestToken(panel, ['task:add:test/*'])
  const body = lines(200_001, 202_000)
  const both = await Promise.all([1, 2].map(() => askWith(panel, text)('POST', '/tasks', body, { ...ndjson, 'idempotency-key': 'both' })))
  const [one, two] = both.map(linesOf)
  assert.deepEqual(one, two)
  assert.equal(one!.at(-1)?.end?.added, 2_000)
  const counts = [...(await added(panel))].filter(([n]) => n > 200_000 && n <= 202_000)
  assert.deepEqual([counts.length, counts.filter(([, times]) => times !== 1)], [2_000, []])
})

test('killed in the middle, again and again, the panel goes on where it was', async t => {
  const serving = await openServing(t)
  await serving.start()
  const token = await serving.token(['task:add:test/*'])
  const body = lines(1, 6_000)
  let answered: LineAnswer[] = []
  const send = () =>
    new Promise<void>(resolve => {
      let text = ''
      const sent = httpRequest(
        `${serving.url}/api/v1/tasks`,
        { method: 'POST', headers: { authorization: `Bearer ${token}`, ...ndjson, 'idempotency-key': 'killed' } },
        response => {
          response.on('data', piece => (text += String(piece)))
          response.on('error', () => undefined)
          response.on('close', () => {
            answered = text
              .split('\n')
              .slice(0, -1)
              .map(line => JSON.parse(line) as LineAnswer)
            resolve()
          })
        },
      )
      sent.on('error', () => resolve())
      sent.end(body)
    })
  for (const least of [500, 2_000, 4_000]) {
    const sending = send()
    await until(`${least} are stored`, async () => (await added(serving)).size >= least, 30_000)
    await serving.kill()
    await sending
    const seen = await added(serving)
    assert.deepEqual(
      answered.filter(({ line }) => line !== undefined && seen.get(line) !== 1),
      [],
      'what was answered is there',
    )
    await serving.start()
  }
  await send()
  assert.deepEqual(answered.at(-1)?.end, { lines: 6_000, added: 6_000, kept: 0, refused: 0 })
  const counts = [...(await added(serving))]
  assert.deepEqual([counts.length, counts.filter(([, times]) => times !== 1)], [6_000, []])
})

test('it is streamed: the first answers come before the last lines are sent', async () => {
  const { text } = await makeTestToken(panel, ['task:add:test/*'])
  let body = ''
  const sent = httpRequest({
    host: '127.0.0.1',
    port: panel.port,
    path: '/api/v1/tasks',
    method: 'POST',
    headers: { host: `127.0.0.1:${panel.port}`, authorization: `Bearer ${text}`, ...ndjson },
  })
  const answered = new Promise<void>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', response => {
      response.on('data', piece => (body += String(piece)))
      response.on('end', resolve)
    })
  })
  for (let n = 300_001; n <= 300_003; n++) {
    sent.write(wish(n))
    await until(`line ${n} is answered`, () => body.split('\n').length - 1 === n - 300_000)
  }
  sent.end()
  await answered
  assert.deepEqual(linesOf({ body }).at(-1)?.end, { lines: 3, added: 3, kept: 0, refused: 0 })
})

test('the type is the same however it is written: a body that is read as lines is never taken for JSON', async () => {
  const { text } = await makeTestToken(panel, ['task:add:test/*'])
  const ask = askWith(panel, text)
  for (const type of ['Application/X-NDJSON', 'APPLICATION/X-NDJSON; charset=utf-8', ' application/x-ndjson ;a="b']) {
    const answer = await ask('POST', '/tasks?first=1', wish(500_000), { 'content-type': type })
    assert.deepEqual([answer.status, linesOf(answer).at(-1)?.end?.added], [200, 1], type)
  }
  for (const type of ['application/json; x=application/x-ndjson', 'APPLICATION/JSON'])
    assert.equal((await ask('POST', '/tasks', { action: 'test/ok' }, { 'content-type': type })).status, 201, type)
  for (const type of ['application/x-ndjsonx', 'application/x-ndjson, application/json', 'text/html'])
    assert.equal((await ask('POST', '/tasks', wish(500_001), { 'content-type': type })).status, 415, type)
})

test('limits: lines, requests at once, and what is only for lines', async () => {
  const { text } = await makeTestToken(panel, ['task:add:test/*', 'task:control'])
  const ask = askWith(panel, text)
  const tooMany = linesOf(await ask('POST', '/tasks', `${'\n'.repeat(linesLimits.lines)}${wish(1)}`, ndjson))
  assert.deepEqual(tooMany.at(-1)?.stopped, {
    line: linesLimits.lines + 1,
    error: { code: 'too-many', message: 'More than 100,000 lines: send the others in another request.' },
  })
  assert.match(sentenceIn(await ask('POST', '/tasks?first=2', { action: 'test/ok' })), /first is given, which is for bodies of lines/)
  assert.equal((await ask('POST', '/tasks?first=0', wish(1), ndjson)).status, 422)
  assert.equal((await ask('POST', '/tasks/1/retry', wish(1), ndjson)).status, 415, 'nowhere else')
  const open = Array.from({ length: linesLimits.perToken }, () => {
    const socket = connect(panel.port, '127.0.0.1')
    socket.write(
      `POST /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:${panel.port}\r\nAuthorization: Bearer ${text}\r\n` +
        `Content-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n${wish(400_000)}`,
    )
    return socket
  })
  for (const socket of open) await new Promise(resolve => socket.once('data', resolve))
  const refused = await ask('POST', '/tasks', wish(1), ndjson)
  assert.deepEqual([refused.status, codeIn(refused), refused.headers['retry-after']], [429, 'rate-limited', '5'])
  const { text: other } = await makeTestToken(panel, ['task:add:test/*'])
  assert.equal((await askWith(panel, other, freshAddress())('POST', '/tasks', wish(400_001), ndjson)).status, 200)
  for (const socket of open) socket.destroy()
  await until('the places are free again', async () => (await ask('POST', '/tasks', wish(400_002), ndjson)).status === 200)
})
