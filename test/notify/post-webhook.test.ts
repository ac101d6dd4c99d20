import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { isPublicAddress } from '../../app/notify/allowed-address.ts'
import { postWebhook } from '../../app/notify/post-webhook.ts'
import { isSigned, startReceiver, webhookSecret } from './receiver.ts'

const key = webhookSecret.replace('whsec_', '')
const payload = { text: 'has tripped' }

const portOf = (url: string) => new URL(url).port

test('what is sent is signed over id, time and body', async t => {
  const receiver = await startReceiver(t)
  const answer = await postWebhook({ url: receiver.url, key, allow: ['127.0.0.1'] }, 'one', payload)
  assert.deepEqual(answer, { ok: true, sentence: '127.0.0.1 answered 204.' })
  const [got] = receiver.taken
  assert.ok(isSigned(got!))
  assert.ok(!isSigned(got!, `whsec_${Buffer.alloc(32, 8).toString('base64')}`), 'with this key only')
  assert.equal(got!.headers['webhook-id'], 'msg_one')
  assert.deepEqual(got!.json, payload)
})

test('no address within is reached by number, however it is written', async t => {
  const receiver = await startReceiver(t)
  const port = portOf(receiver.url)
  const hosts = [
    '127.0.0.1',
    '2130706433',
    '0x7f.1',
    '127.1',
    '0',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
    '[::]',
  ]
  for (const host of hosts) {
    const answer = await postWebhook({ url: `https://${host}:${port}/`, key, allow: [] }, 'one', payload)
    assert.match(answer.sentence, /no address of the public internet/, host)
    assert.equal(answer.ok, false)
  }
  assert.deepEqual(receiver.seen, [])
})

test('what reaches this machine, its networks or a cloud’s metadata is not public', () => {
  const closed = [
    ...[
      '0.0.0.0',
      '10.0.0.1',
      '100.64.0.1',
      '100.100.100.200',
      '127.0.0.1',
      '127.255.255.254',
      '169.254.169.254',
      '172.16.0.1',
      '172.31.255.255',
    ],
    ...[
      '192.0.0.192',
      '192.168.1.1',
      '198.18.0.1',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      '::1',
      '::ffff:10.0.0.1',
      '::ffff:8.8.8.8',
      '::127.0.0.1',
    ],
    ...[
      '64:ff9b::a9fe:a9fe',
      '64:ff9b:1::1',
      '2001::1',
      '2001:db8::1',
      '2002:7f00:1::',
      'fc00::1',
      'fd00:ec2::254',
      'fe80::1',
      'fe80::1%lo',
      'ff02::1',
    ],
    ...['no address', '', '8.8.8'],
  ]
  for (const address of closed) assert.equal(isPublicAddress(address), false, address)
  for (const address of ['1.1.1.1', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1'])
    assert.equal(isPublicAddress(address), true, address)
})

test('a name that means an address within is not connected to, also when it means others as well', async t => {
  const receiver = await startReceiver(t)
  const url = `https://hooks.example.com:${portOf(receiver.url)}/`
  const inside = { address: '127.0.0.1', family: 4 }
  for (const addresses of [[inside], [{ address: '93.184.216.34', family: 4 }, inside], [{ address: '::ffff:127.0.0.1', family: 6 }]]) {
    const answer = await postWebhook({ url, key, allow: [] }, 'one', payload, { resolve: async () => addresses })
    assert.equal(answer.ok, false)
    assert.match(answer.sentence, /hooks\.example\.com is .*no address of the public internet.*BGTASK_NOTIFY_ALLOW=hooks\.example\.com/)
  }
  assert.deepEqual(receiver.seen, [])
})

test('the name is looked up once, and the address that was checked is the one that is connected to', async t => {
  const receiver = await startReceiver(t)
  const url = `http://rebinding.example.com:${portOf(receiver.url)}/`
  const asked: string[] = []
  // What a rebinding name server does: each answer is another one.
  const resolve = async (name: string) => {
    asked.push(name)
    return [{ address: asked.length === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }]
  }
  const answer = await postWebhook({ url, key, allow: ['rebinding.example.com'] }, 'one', payload, { resolve })
  assert.ok(answer.ok, answer.sentence)
  assert.deepEqual(asked, ['rebinding.example.com'])
  assert.equal(receiver.taken[0]!.headers.host, new URL(url).host)
})

test('a redirect is not followed', async t => {
  const inside = await startReceiver(t)
  const receiver = await startReceiver(t)
  for (const status of [301, 302, 303, 307, 308]) {
    receiver.answer = { status, headers: { location: inside.url } }
    const answer = await postWebhook({ url: receiver.url, key, allow: ['127.0.0.1'] }, 'one', payload)
    assert.deepEqual(answer, { ok: false, sentence: `127.0.0.1 answered ${status}, a redirect, which is not followed.` })
  }
  assert.deepEqual(inside.seen, [])
})

test('without TLS nothing is sent to a host that is not allowed by name', async t => {
  const receiver = await startReceiver(t)
  const url = `http://hooks.example.com:${portOf(receiver.url)}/`
  const resolve = async () => [{ address: '127.0.0.1', family: 4 }]
  const answer = await postWebhook({ url, key, allow: ['other.example.com'] }, 'one', payload, { resolve })
  assert.match(answer.sentence, /not reached by https/)
  assert.deepEqual(receiver.seen, [])
})

test('a receiver that does not answer, or answers without end, holds nobody up', async t => {
  const silent = await listening(
    t,
    // Without a limit of ours its end would be the end, and another sentence.
    createTcpServer(socket => void setTimeout(() => socket.destroy(), 3_000)),
  )
  const answer = await postWebhook({ url: `http://127.0.0.1:${silent}/`, key, allow: ['127.0.0.1'] }, 'one', payload, { timeoutMs: 300 })
  assert.deepEqual(answer, { ok: false, sentence: '127.0.0.1 did not answer within 0.3 s.' })
  let written = 0
  const endless = await listening(
    t,
    createServer((_, response) => {
      response.writeHead(500)
      const more = () => {
        if (response.destroyed || written > 50_000_000) return
        written += 65_536
        response.write('x'.repeat(65_536), () => setImmediate(more))
      }
      more()
    }),
  )
  const flooded = await postWebhook({ url: `http://127.0.0.1:${endless}/`, key, allow: ['127.0.0.1'] }, 'one', payload)
  assert.equal(flooded.ok, false)
  assert.ok(flooded.sentence.length < 300, flooded.sentence)
  assert.ok(written < 50_000_000, `${written} bytes were read`)
})

test('what it says about a failure holds neither the address’s path nor what could steer a terminal', async t => {
  const receiver = await startReceiver(t)
  receiver.answer = { status: 400, body: 'no\u001b[2J\r\nsuch\u202e channel' }
  const answer = await postWebhook({ url: receiver.url, key, allow: ['127.0.0.1'] }, 'one', payload)
  assert.doesNotMatch(answer.sentence, /of-a-chat|[\u0000-\u001f\u202e]/)
  assert.match(answer.sentence, /^127\.0\.0\.1 answered 400: no such/)
  const gone = await postWebhook({ url: 'http://127.0.0.1:1/secret-path', key, allow: ['127.0.0.1'] }, 'one', payload)
  assert.equal(gone.ok, false)
  assert.doesNotMatch(gone.sentence, /secret-path/)
})

const listening = async (t: TestContext, server: ReturnType<typeof createTcpServer>): Promise<number> => {
  const sockets = new Set<{ destroy(): void }>()
  server.on('connection', socket => sockets.add(socket))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
