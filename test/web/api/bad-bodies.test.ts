import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { linesLimits } from '../../../app/web/api/read-lines.ts'
import { type Answer, freshAddress, type ListeningPanel, listenPanel } from '../../helpers/listening-panel.ts'
import { askWith, codeIn, makeTestToken, sentenceIn } from './ask-with.ts'

let panel: ListeningPanel
let token: string
before(async () => {
  panel = await listenPanel()
  const scopes = ['task:add:test/*', 'task:add:demo/hello', 'task:read', 'task:control', 'schedule:write', 'command:deploy']
  token = (await makeTestToken(panel, scopes)).text
})
after(() => panel.close())

const send = (method: string, path: string, body: Buffer, headers: Record<string, string> = {}): Promise<Answer> =>
  panel.ask({
    method,
    url: `/api/v1${path}`,
    from: freshAddress(),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body,
  })
const rows = () => panel.sql('SELECT (SELECT count(*) FROM bg_task) + (SELECT count(*) FROM bg_schedule) AS n')[0]!.n as number
const ndjson = { 'content-type': 'application/x-ndjson' }
const wish = { action: 'test/ok', params: { name: 'Zoë' } }

const notUtf8: Record<string, Buffer> = {
  'Latin-1': Buffer.from(JSON.stringify(wish), 'latin1'),
  'UTF-16': Buffer.from(`\ufeff${JSON.stringify(wish)}`, 'utf16le'),
  'half a character at the end of a text': Buffer.concat([
    Buffer.from('{"action":"test/ok","params":"'),
    Buffer.from([0xe2, 0x82]),
    Buffer.from('"}'),
  ]),
  'a surrogate as three bytes': Buffer.concat([
    Buffer.from('{"action":"test/ok","params":"'),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from('"}'),
  ]),
  'a slash that is longer than it need be': Buffer.concat([Buffer.from('{"action":"test'), Buffer.from([0xc0, 0xaf]), Buffer.from('ok"}')]),
}

test('a body that is not UTF-8 is refused as a whole, and nothing is stored with other characters in it', async () => {
  const before = rows()
  for (const [what, body] of Object.entries(notUtf8)) {
    for (const [method, path] of [
      ['POST', '/tasks'],
      ['POST', '/tasks/move'],
      ['POST', '/tasks/1/edit'],
      ['PUT', '/schedules/nightly'],
      ['POST', '/commands/deploy'],
    ] as const) {
      const answer = await send(method, path, body)
      assert.deepEqual([answer.status, codeIn(answer)], [400, 'bad-request'], `${what}, ${path}`)
      assert.match(sentenceIn(answer), /^The body is not UTF-8, as JSON has to be; send it in that encoding\.$/)
    }
  }
  assert.equal(rows(), before)
  for (const text of [JSON.stringify(wish), `\ufeff${JSON.stringify(wish)}`]) {
    const stored = await send('POST', '/tasks', Buffer.from(text))
    assert.deepEqual((JSON.parse(stored.body) as { task: { params: unknown } }).task.params, { name: 'Zoë' })
  }
})

test('of lines, the one that is not UTF-8 is refused, and the others are stored', async () => {
  const good = Buffer.from(`${JSON.stringify(wish)}\n`)
  const body = Buffer.concat([good, notUtf8['Latin-1']!, Buffer.from('\n'), good])
  const key = { 'idempotency-key': 'not-utf8' }
  const [first, second] = [
    await send('POST', '/tasks', body, { ...ndjson, ...key }),
    await send('POST', '/tasks', body, { ...ndjson, ...key }),
  ]
  const told = first.body
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { line?: number; added?: boolean; error?: { code: string; message: string }; end?: object })
  assert.deepEqual([told[0]!.added, told[1]!.error?.code, told[2]!.added], [true, 'refused', true])
  assert.match(told[1]!.error!.message, /^The line is not UTF-8/)
  assert.deepEqual(told[3]!.end, { lines: 3, added: 2, kept: 0, refused: 1 })
  assert.equal(second.body, first.body)
})

test('a body that is packed is refused by its name', async () => {
  const before = rows()
  const plain = Buffer.from(JSON.stringify(wish))
  for (const [encoding, body] of [
    ['gzip', gzipSync(plain)],
    ['x-gzip', gzipSync(plain)],
    ['deflate', deflateSync(plain)],
    ['br', brotliCompressSync(plain)],
    ['GZip, identity', gzipSync(plain)],
    // Not packed at all, and said to be: it was stored once.
    ['gzip', plain],
  ] as const) {
    for (const type of ['application/json', 'application/x-ndjson']) {
      const answer = await send('POST', '/tasks', body, { 'content-encoding': encoding, 'content-type': type })
      assert.deepEqual([answer.status, codeIn(answer)], [415, 'content-encoding'], `${encoding} ${type}`)
      assert.equal(
        sentenceIn(answer),
        `The body comes as "${encoding.toLowerCase()}" (Content-Encoding); send it as it is, without that header.`,
      )
    }
  }
  assert.equal(rows(), before)
  assert.equal((await send('POST', '/tasks', plain, { 'content-encoding': 'identity' })).status, 201)
  const { status } = await panel.ask({
    url: '/api/v1/tasks',
    from: freshAddress(),
    headers: { authorization: `Bearer ${token}`, 'content-encoding': 'gzip' },
  })
  assert.equal(status, 200, 'there is no body')
})

test('what works on all that failed takes no body for a mistake, and an empty object at its word', async () => {
  const before = rows()
  for (const path of ['/failed/retry', '/failed/discard']) {
    const url = `/api/v1${path}`
    for (const headers of [{}, { 'content-type': 'application/json' }] as Record<string, string>[]) {
      const answer = await panel.ask({
        method: 'POST',
        url,
        from: freshAddress(),
        headers: { authorization: `Bearer ${token}`, ...headers },
      })
      assert.deepEqual([answer.status, codeIn(answer)], [422, 'refused'], path)
      assert.match(sentenceIn(answer), /^There is no body; say which: .* or \{\} for all that failed\.$/)
    }
    assert.equal((await send('POST', path, Buffer.from('null'))).status, 422)
  }
  assert.equal(rows(), before)
  assert.equal((await askWith(panel, token)('POST', '/failed/retry', {})).status, 202)
})

test('an action that is not there is named; of others, only those that the token may add', async () => {
  const ask = askWith(panel, token)
  const before = rows()
  for (const [action, status, words] of [
    ['test/okk', 422, /^There is no action "test\/okk"; did you mean test\/ok/],
    ['test/zzzzzzzzzzzzzzzz', 422, /^There is no action "test\/zzzzzzzzzzzzzzzz", or none that this token may add\.$/],
    ['demo/hello', 422, /^There is no action "demo\/hello", or none that this token may add\.$/],
    ['demo/other', 403, /^This token does not have the scope task:add:demo\/other/],
    ['Test/OK', 422, /^There can be no action "Test\/OK": names are like report\/build/],
    ['test/ok ', 422, /^There can be no action "test\/ok ": names/],
    ['', 422, /^There can be no action "": names/],
    ['../../etc/passwd', 422, /^There can be no action/],
    ['test/ok\u0000', 422, /^There can be no action "test\/ok\\u0000": names/],
    ['constructor', 422, /^There can be no action "constructor"/],
  ] as const) {
    const answer = await ask('POST', '/tasks', { action })
    assert.equal(answer.status, status, `${action}: ${answer.body}`)
    assert.match(sentenceIn(answer), words)
    const line = await ask('POST', '/tasks', `${JSON.stringify({ action })}\n`, ndjson)
    const [told] = line.body.split('\n').map(text => JSON.parse(text || '{}') as { error?: { message: string } })
    assert.match(told!.error!.message, words)
  }
  // One that is very like an action which the token may not add.
  const { text } = await makeTestToken(panel, ['task:add:test/oks', 'task:add:test/logs'])
  assert.equal(
    sentenceIn(await askWith(panel, text)('POST', '/tasks', { action: 'test/oks' })),
    'There is no action "test/oks"; did you mean test/logs?',
  )
  assert.equal(rows(), before)
})

test('a number that cannot be kept exactly is refused, and not stored as another one', async () => {
  const ask = askWith(panel, token)
  const before = rows()
  for (const number of ['12345678901234567890', '-9007199254740993', '9'.repeat(300)]) {
    const body = `{"action": "test/ok", "params": {"a": [1, ${number}]}}`
    const words = new RegExp(
      `^The (?:body|line) holds the number ${number.slice(0, 40)}, which is too large to be kept exactly; give it as text`,
    )
    const answer = await ask('POST', '/tasks', body)
    assert.deepEqual([answer.status, codeIn(answer)], [422, 'refused'])
    assert.match(sentenceIn(answer), words)
    const [line] = (await ask('POST', '/tasks', `${body}\n`, ndjson)).body.split('\n')
    assert.match((JSON.parse(line!) as { error: { message: string } }).error.message, words)
  }
  assert.equal(rows(), before)
  const kept = '{"a":[9007199254740991,1e300,0.1234567890123456789,"12345678901234567890"]}'
  const { task } = JSON.parse((await ask('POST', '/tasks', `{"action":"test/ok","params":${kept}}`)).body) as { task: { params: unknown } }
  assert.deepEqual(task.params, JSON.parse(kept))
})

test('what may be of several kinds says so once', async () => {
  const answer = await askWith(panel, token)('POST', '/tasks/move', { unique: 'x', delayMs: 'soon' })
  assert.equal(sentenceIn(answer), 'The body is not as it should be: delayMs must be a number or null, but is "soon".')
})

test('one who is refused in the middle of a body may read why: the connection ends with the answer, and breaks nowhere', async () => {
  const socket = connect({ port: panel.port, host: '127.0.0.1', allowHalfOpen: true })
  await once(socket, 'connect')
  let answer = ''
  socket.setEncoding('utf8')
  socket.on('data', piece => {
    answer += String(piece)
  })
  const errors: Error[] = []
  socket.on('error', error => errors.push(error))
  const head =
    `POST /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:${panel.port}\r\nAuthorization: Bearer ${token}\r\n` +
    'Content-Type: application/x-ndjson\r\nContent-Length: 10000000\r\n\r\n'
  socket.write(`${head}${'\n'.repeat(linesLimits.lines + 1)}`)
  await once(socket, 'end')
  assert.match(answer, /"stopped":\{"line":100001/)
  assert.match(answer, /\r\n0\r\n\r\n$/, 'the whole answer')
  // What was on its way is read over, and does not break the connection before they leave.
  for (let n = 0; n < 20; n++) await new Promise<void>(resolve => socket.write('\n'.repeat(50_000), () => resolve()))
  socket.end()
  await once(socket, 'close')
  assert.deepEqual(errors, [])
})
