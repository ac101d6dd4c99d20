import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type LineAnswer, TaskClient, TaskClientError, type TaskSender } from '../../app/remote/task-client.ts'
import { findTask } from '../../app/store/find-task.ts'
import { cancelTask } from '../../app/store/wishes.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { until } from '../helpers/scene.ts'
import { makeTestToken } from '../web/api/ask-with.ts'
import { dieBeforeAnswer, openServing, type Serving } from '../web/api/serving.ts'

const scopes = ['task:add:test/*', 'task:read', 'task:control']

test('the same calls as the library; written against TaskSender, code may be given either', async t => {
  const panel = await openPanel(t)
  const { text } = await makeTestToken(panel, scopes, 'shop')
  const client = new TaskClient({ url: `${panel.origin}/`, token: text })
  const remind = async (sender: TaskSender, user: number) =>
    sender.addTask('test/ok', { user }, { runAt: new Date(Date.now() + 3_600_000), unique: `remind-${user}`, onConflict: 'replace' })
  const [far, near] = [await remind(client, 1), await remind(panel.background, 2)]
  assert.deepEqual([far.params, far.creator, far.uniqueKey, near.uniqueKey], [{ user: 1 }, 'shop', 'remind-1', 'remind-2'])
  const task = await client.task(far.uid)
  assert.deepEqual([task.id, task.state, typeof task.why], [far.id, 'waiting', 'string'])
  assert.deepEqual(
    (await client.tasks({ unique: 'remind-2' })).tasks.map(({ id }) => id),
    [near.id],
  )
  assert.equal((await client.addTasks([{ action: 'test/ok' }, { action: 'test/ok', options: { type: 't' } }])).length, 2)
  assert.equal((await client.sendTask('test/forever', {}, 'FOREVER')).execType, 'FOREVER')
  assert.equal((await client.cancel(far.id)).state, 'cancelled')
  assert.equal((await client.wait(far.id)).state, 'cancelled')
  assert.equal((await client.retry(far.id)).state, 'waiting')
  const waiting = client.wait(far.id)
  await cancelTask(panel.background.db, far.id, 'the test', Date.now())
  assert.equal((await waiting).state, 'cancelled')
})

test('by key, another due time, and schedules: as in the library', async t => {
  const panel = await openPanel(t)
  const { text } = await makeTestToken(panel, [...scopes, 'schedule:read', 'schedule:write'], 'shop')
  const client = new TaskClient({ url: panel.origin, token: text })
  const { id } = await client.sendTask('test/ok', {}, { unique: 'teacher:17', delayMs: 60_000 })
  assert.equal((await client.taskWithKey('teacher:17'))?.id, id)
  assert.equal(await client.taskWithKey('nobody has it'), null)
  const at = new Date(Date.now() + 3_600_000)
  assert.equal((await client.move(id, { runAt: at })).runAt, at.getTime())
  assert.ok((await client.move({ unique: 'teacher:17' }, { delayMs: 7_200_000 })).runAt > at.getTime())
  assert.deepEqual(
    [(await client.cancel({ unique: 'teacher:17' }))?.state, await client.cancel({ unique: 'teacher:17' })],
    ['cancelled', null],
  )

  const options = { cron: '30 2 * * *', timeZone: 'Europe/Berlin', action: 'test/ok' }
  const made = await client.addSchedule('nightly', options)
  assert.deepEqual([made.next.length, made.next[0], made.madeFrom], [5, made.nextAt, 'api'])
  assert.equal((await client.addSchedule('nightly', options)).revision, 0)
  await client.addSchedule('Überprüfung', { everyMs: 60_000, action: 'test/ok' })
  assert.deepEqual((await client.schedules()).map(({ name }) => name).sort(), ['nightly', 'Überprüfung'])
  assert.deepEqual([await client.removeSchedule('Überprüfung'), await client.removeSchedule('Überprüfung')], [true, false])
  await assert.rejects(client.addSchedule('x', { action: 'test/ok', everyMs: 1 }), {
    code: 'refused',
    message: /everyMs is 1; allowed are/,
  })
})

test('params and limits are changed, listed and brought back; somebody else’s change is not overwritten', async t => {
  const panel = await openPanel(t)
  const { text } = await makeTestToken(panel, scopes, 'shop')
  const client = new TaskClient({ url: panel.origin, token: text })
  const task = await client.sendTask('test/forever', { intervalMs: 100, password: 'hidden-pass-1' }, 'FOREVER')
  assert.deepEqual(task.params, { intervalMs: 100, password: '[redacted]' })
  const params = { ...(task.params as object), intervalMs: 200 }
  const edit = await client.edit(task.uid, { params, graceMs: 3_000, effect: 'restart', seen: task })
  assert.deepEqual(
    [edit.n, edit.effect, edit.via, edit.changes.map(({ limit, name, to }) => [limit ?? name, to])],
    [
      1,
      'restart',
      'token',
      [
        ['intervalMs', '200'],
        ['graceMs', '3000'],
      ],
    ],
  )
  const stored = await findTask(panel.background.db, task.id)
  assert.deepEqual(stored?.params, { intervalMs: 200, password: 'hidden-pass-1' })
  await assert.rejects(client.edit(task.id, { graceMs: 4_000, seen: task }), { code: 'conflict', status: 409 })
  const back = await client.revert(task.id, 1, { seen: await client.task(task.id) })
  assert.deepEqual([back.n, back.revertOf], [2, 1])
  assert.deepEqual((await findTask(panel.background.db, task.id))?.params, { intervalMs: 100, password: 'hidden-pass-1' })
  const { edits, older } = await client.edits(task.id, { limit: 1 })
  assert.deepEqual([edits, older], [[back], 2])
  assert.deepEqual(await client.edits(task.id, { before: 2 }), { edits: [edit], older: null })
})

test('what stands in the way is said at once, where waiting does not mend it', async t => {
  const panel = await openPanel(t)
  const { text } = await makeTestToken(panel, scopes)
  const asked: string[] = []
  const html = await answering(t, asked, (_, response) => response.setHeader('content-type', 'text/html').end('<h1>Sign in</h1>'))
  const moved = await answering(t, asked, (_, response) => response.writeHead(302, { location: 'https://sso.example.com/' }).end())
  const gone = await answering(t, asked, (_, response) => response.writeHead(404).end('<h1>nginx</h1>'))
  for (const [url, code, words] of [
    [html, 'no-panel', /^What answers at http:\/\/127\.0\.0\.1:\d+ \(200\) is no panel of bgtask/],
    [moved, 'no-panel', /sends us on to https:\/\/sso\.example\.com\/; if that is the panel/],
    [gone, 'no-panel', /\(404\) is no panel of bgtask/],
    [panel.origin.replace('http:', 'https:'), 'unreachable', /is not trusted, or does not speak TLS \((EPROTO|ERR_SSL)/],
  ] as const) {
    asked.length = 0
    const client = new TaskClient({ url, token: text, retries: 50, timeoutMs: 600_000 })
    const error = await client.task(1).then(
      () => assert.fail(`${url} answered`),
      (thrown: unknown) => thrown as TaskClientError,
    )
    assert.equal(error.code, code, error.message)
    assert.match(error.message, words)
    assert.ok(asked.length <= 1, 'it is not tried again')
    assert.ok(!error.message.includes(text))
  }
  const nobody = (options: object) => new TaskClient({ token: text, retries: 1, ...options }).task(1)
  await assert.rejects(nobody({ url: 'http://no-such-name.invalid', insecure: true }), {
    message: /no-such-name\.invalid is not found: this machine does not know/,
  })
  await assert.rejects(nobody({ url: await freed() }), { message: /^Nothing listens at http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED/ })
  await assert.rejects(nobody({ socketPath: '/nowhere/bgtask.sock' }), { message: /^There is no socket \/nowhere\/bgtask\.sock \(ENOENT/ })
  assert.throws(() => new TaskClient({ url: 'panel.example.com' }), TypeError)
  assert.throws(() => new TaskClient({ url: 'ftp://panel.example.com' }), /must begin with http/)
})

test('a wait goes on over a restart of the panel', async t => {
  const serving = await openServing(t)
  await serving.start()
  const client = new TaskClient({ url: serving.url, token: await serving.token(scopes) })
  const { id } = await client.sendTask('test/ok')
  const waiting = client.wait(id, { timeoutMs: 600_000 })
  await serving.kill()
  await serving.start()
  await cancelTask(serving.background.db, id, 'the test', Date.now())
  assert.equal((await waiting).state, 'cancelled')
})

test('errors carry the word, the status and the sentence; time and signal are kept', async t => {
  const panel = await openPanel(t)
  const { text } = await makeTestToken(panel, scopes)
  const client = new TaskClient({ url: panel.origin, token: text })
  const problem = async (call: Promise<unknown>) => {
    const error = await call.then(
      () => assert.fail('it went through'),
      (thrown: unknown) => thrown,
    )
    assert.ok(error instanceof TaskClientError, String(error))
    return [error.code, error.status, error.message] as const
  }
  assert.match((await problem(client.sendTask('test/nothing')))[2], /There is no action "test\/nothing"/)
  assert.deepEqual((await problem(client.sendTask('demo/heartbeat'))).slice(0, 2), ['scope-missing', 403])
  assert.deepEqual((await problem(client.task(999))).slice(0, 2), ['not-found', 404])
  assert.deepEqual((await problem(new TaskClient({ url: panel.origin, token: 'bgt_1_x' }).task(1))).slice(0, 2), ['token-refused', 401])
  const { id } = await client.sendTask('test/ok')
  assert.deepEqual((await problem(client.wait(id, { timeoutMs: 1 }))).slice(0, 2), ['timed-out', null])
  const stop = new AbortController()
  const waiting = problem(client.wait(id, { signal: stop.signal }))
  await until('it waits', () => panel.seen.some(({ request, status }) => request.url?.includes('/wait?timeoutMs=2') && status === null))
  stop.abort()
  assert.equal((await waiting)[0], 'aborted')
  const nobody = new TaskClient({ url: 'http://127.0.0.1:1', token: text, retries: 1 })
  assert.deepEqual((await problem(nobody.task(1)))[0], 'unreachable')
  assert.throws(() => new TaskClient({}), TypeError)
  assert.throws(() => new TaskClient({ url: 'http://x', socketPath: '/x' }), TypeError)
})

const numbers = async ({ background }: Pick<Serving, 'background'>) =>
  (await background.db.kysely.selectFrom('bg_task').select('params').execute()).map(({ params }) => (JSON.parse(params) as { n: number }).n)

test('the panel is killed before it answers, and started again: each call adds once', async t => {
  const serving = await openServing(t)
  await serving.start(dieBeforeAnswer(1))
  const client = new TaskClient({ url: serving.url, token: await serving.token(scopes) })
  const sending = client.sendTask('test/ok', { n: 1 })
  await serving.died()
  await serving.start(dieBeforeAnswer(2))
  assert.deepEqual((await sending).params, { n: 1 })
  const many = (async () => {
    const answers: LineAnswer[] = []
    for await (const answer of client.sendTasks(wishes(2, 1_800))) answers.push(answer)
    return answers
  })()
  await serving.died()
  await serving.start()
  const answers = await many
  assert.deepEqual(
    answers.map(answer => [answer.line, 'added' in answer && answer.added]),
    Array.from({ length: 1_799 }, (_, index) => [index + 1, true]),
  )
  const found = await numbers(serving)
  assert.deepEqual([found.length, new Set(found).size], [1_800, 1_800])
})

test('many tasks are taken as they are answered: one request ahead, and none while nobody reads on', async t => {
  const panel = await openPanel(t)
  const { text } = await makeTestToken(panel, scopes)
  const client = new TaskClient({ url: panel.origin, token: text })
  const drain = async (params: object, answersWanted: number) => {
    let taken = 0
    let answered = 0
    let mostAhead = 0
    let isClosed = false
    function* endless() {
      try {
        for (;;) {
          taken++
          mostAhead = Math.max(mostAhead, taken - answered)
          yield { action: 'test/ok', params: { ...params, n: taken } }
        }
      } finally {
        isClosed = true
      }
    }
    const before = panel.seen.length
    for await (const answer of client.sendTasks(endless())) {
      answered++
      assert.ok('added' in answer && answer.added)
      assert.equal(answer.line, answered)
      if (answered === answersWanted) break
    }
    return { taken, mostAhead, isClosed, requests: panel.seen.length - before }
  }
  assert.deepEqual(await drain({}, 2_000), { taken: 2_000, mostAhead: 500, isClosed: true, requests: 4 })
  // By size, too: a megabyte and the line that goes beyond it.
  const large = await drain({ text: 'x'.repeat(60_000) }, 40)
  assert.deepEqual(large, { taken: 51, mostAhead: 17, isClosed: true, requests: 3 })
  assert.equal((await numbers(panel)).length, 2_051, 'what was sent is stored')
})

test('answers that are cut by a proxy at any byte: nothing twice, nothing lost', async t => {
  const serving = await openServing(t)
  await serving.start()
  const token = await serving.token(scopes)
  for (const after of [0, 1, 40, 300, 1_200]) {
    const proxy = await cuttingProxy(t, serving.port, after)
    const client = new TaskClient({ url: serving.url.replace(`:${serving.port}`, `:${proxy.port}`), token })
    const { params } = await client.sendTask('test/ok', { n: after })
    assert.deepEqual(params, { n: after })
    assert.ok(proxy.cuts >= 1)
  }
  const found = await numbers(serving)
  assert.deepEqual(
    found.sort((a, b) => a - b),
    [0, 1, 40, 300, 1_200],
  )
})

test('the token goes by https, or stays on this machine', () => {
  for (const url of [
    'http://panel.example.com',
    'http://10.0.0.7:8080',
    'http://127.0.0.1.example.com',
    'http://localhost.example.com',
    'ftp://127.0.0.2x',
  ])
    assert.throws(() => new TaskClient({ url, token: 'bgt_1_x' }), TypeError, url)
  assert.throws(() => new TaskClient({ url: 'http://panel:8080', token: 'bgt_1_x' }), /The token would go to panel by http, readable/)
  for (const url of ['https://panel.example.com', 'http://localhost:8080', 'http://127.1:8080', 'http://[::1]:8080/admin'])
    new TaskClient({ url, token: 'bgt_1_x' })
  new TaskClient({ url: 'http://panel:8080', token: 'bgt_1_x', insecure: true })
})

test('whoever answers with another address gets nothing sent there: no token, no params', async t => {
  const elsewhere: string[] = []
  const listen = async (server: Server) => {
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    return `http://127.0.0.1:${(server.address() as { port: number }).port}`
  }
  const other = await listen(
    createHttpServer((request, response) => {
      elsewhere.push(`${request.method} ${request.url}`)
      response.end('{}')
    }),
  )
  for (const status of [301, 302, 303, 307, 308]) {
    const url = await listen(
      createHttpServer((_request, response) => response.writeHead(status, { location: `${other}/api/v1/tasks` }).end()),
    )
    const client = new TaskClient({ url, token: 'bgt_1_x', retries: 0 })
    await assert.rejects(client.sendTask('test/ok', { password: 'swordfish' }), TaskClientError)
    await assert.rejects(client.task(1), TaskClientError)
  }
  assert.deepEqual(elsewhere, [])
})

async function* wishes(from: number, to: number) {
  for (let n = from; n <= to; n++) yield { action: 'test/ok', params: { n } }
}

/** An address where something listened a moment ago. */
const freed = async (): Promise<string> => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise<unknown>(resolve => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

/** A server that is no panel. @param asked what it is asked for is put there */
const answering = async (t: TestContext, asked: string[], answer: RequestListener): Promise<string> => {
  const server = createHttpServer((request, response) => {
    asked.push(request.url!)
    answer(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`
}

/** Cuts the first answer after so many bytes, and hands on the others. It writes the panel's own name into Host, as a proxy does that keeps it. */
const cuttingProxy = async (t: TestContext, port: number, after: number) => {
  const sockets = new Set<Socket>()
  const state = { port: 0, cuts: 0 }
  const server = createServer(client => {
    const panel = connect(port, '127.0.0.1')
    for (const socket of [client, panel]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        client.destroy()
        panel.destroy()
      })
    }
    client.on('data', piece => panel.write(piece.toString('latin1').replace(`:${state.port}\r\n`, `:${port}\r\n`), 'latin1'))
    let passed = 0
    panel.on('data', piece => {
      passed += piece.length
      if (state.cuts > 0 || passed <= after) return void client.write(piece)
      state.cuts++
      client.end(piece.subarray(0, Math.max(0, piece.length - (passed - after))))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  state.port = (server.address() as { port: number }).port
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return state
}

test('the client stands alone: it imports nothing but its own files, and node:http when a socket is used', () => {
  const folder = join(import.meta.dirname, '..', '..', 'app', 'remote')
  for (const file of ['task-client.ts', 'transport.ts', 'task-client-error.ts']) {
    const text = readFileSync(join(folder, file), 'utf8')
    for (const [, type, from] of text.matchAll(/^(?:import|export) (type )?[^']*from '([^']+)'/gm))
      assert.ok(type !== undefined || from!.startsWith('./'), `${file} imports ${from}`)
    for (const [, late] of text.matchAll(/import\('([^']+)'\)/g)) assert.equal(late, 'node:http')
  }
})
