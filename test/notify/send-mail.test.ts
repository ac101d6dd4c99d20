import assert from 'node:assert/strict'
import { test } from 'node:test'
import { composeMessage } from '../../app/notify/compose-message.ts'
import { sendMail } from '../../app/notify/send-mail.ts'
import type { Incident } from '../../app/task/incident.ts'
import { partOf, startMailServer } from './mail-server.ts'

test('a message has a text and an HTML part, an id that stays the same, and what others wrote in it is text', async t => {
  const server = await startMailServer(t)
  const message = composeMessage(
    [{ incident: tripped({ action: 'shop/poll', lines: '<script>alert(1)</script> & more\n.\n.. a dot' }), events: ['opened'] }],
    { language: 'zh', panelUrl: 'https://panel.example.com/admin' },
    { now: 1_700_000_010_000, hostname: 'web1' },
  )
  const mail = { smtp: `smtp://127.0.0.1:${server.port}`, from: 'bgtask <bgtask@example.com>', to: ['ops@example.com', 'kim@example.com'] }
  const answer = await sendMail(mail, 'one', message)
  assert.deepEqual(answer, { ok: true, sentence: '127.0.0.1 took it for 2 of 2.' })
  const { from, to, data } = server.mails[0]!
  assert.deepEqual([from, to], ['bgtask@example.com', ['ops@example.com', 'kim@example.com']])
  assert.match(data, /^X-Bgtask-Delivery: msg_one$/m)
  assert.match(data, /^Message-ID: <msg_one@bgtask>$/m)
  assert.match(data, /^Content-Type: text\/plain/m)
  assert.match(data, /^Content-Type: text\/html/m)
  const html = partOf(data, 'text/html')
  assert.match(html, /&#60;script&#62;alert\(1\)&#60;\/script&#62; &#38; more/)
  assert.doesNotMatch(html, /<script>/)
  assert.match(html, /href="https:\/\/panel\.example\.com\/admin\/core\/bgtask\/12"/)
  assert.match(partOf(data, 'text/plain'), /shop\/poll #12 已熔断/)
})

test('no header can be added by what others wrote', async t => {
  const server = await startMailServer(t)
  const evil = 'shop/poll\r\nBcc: eve@example.com\r\n\r\nbody'
  const message = composeMessage(
    [{ incident: tripped({ action: evil }), events: ['opened'] }],
    { language: 'en', panelUrl: 'https://panel.example.com/admin' },
    { now: 1_700_000_010_000, hostname: 'web1\r\nBcc: eve@example.com' },
  )
  assert.doesNotMatch(message.subject, /[\r\n]/)
  const mail = { smtp: `smtp://127.0.0.1:${server.port}`, from: 'bgtask@example.com', to: ['ops@example.com'] }
  const answer = await sendMail(mail, 'two', { ...message, subject: `x\r\nBcc: eve@example.com\r\n\r\n${message.subject}` })
  assert.ok(answer.ok, answer.sentence)
  const { to, data } = server.mails[0]!
  assert.deepEqual(to, ['ops@example.com'])
  assert.doesNotMatch(data.slice(0, data.indexOf('\r\n\r\n')), /^Bcc:/im)
})

test('a password is given to a server of this machine, and to none on a network without TLS', async t => {
  const server = await startMailServer(t)
  const here = { smtp: `smtp://kim:pass%2Fword@127.0.0.1:${server.port}`, from: 'bgtask@example.com', to: ['ops@example.com'] }
  const message = { subject: 's', text: 't', html: '<p>t</p>', payload: {} }
  assert.ok((await sendMail(here, 'three', message)).ok)
  assert.ok(server.said.some(line => Buffer.from(line.split(' ').at(-1)!, 'base64').toString() === '\0kim\0pass/word'))
  server.said.length = 0
  // The same server by an address that does not look like this machine's, and by a name that only begins so.
  for (const host of ['[::ffff:127.0.0.1]', '127.1']) {
    const away = await sendMail({ ...here, smtp: `smtp://kim:pass%2Fword@${host}:${server.port}` }, 'four', message)
    assert.equal(away.ok, false, host)
    assert.doesNotMatch(away.sentence, /pass\/word/)
    assert.deepEqual(
      server.said.filter(line => /^AUTH/i.test(line)),
      [],
      host,
    )
  }
})

test('a server that refuses, or is not there, is told in a sentence', async t => {
  const server = await startMailServer(t)
  server.refuse = true
  const mail = { smtp: `smtp://127.0.0.1:${server.port}`, from: 'bgtask@example.com', to: ['ops@example.com'] }
  const message = { subject: 's', text: 't', html: '<p>t</p>', payload: {} }
  const refused = await sendMail(mail, 'five', message)
  assert.match(refused.sentence, /^127\.0\.0\.1 did not take it: .*550/)
  const gone = await sendMail({ ...mail, smtp: 'smtp://127.0.0.1:1' }, 'six', message)
  assert.match(gone.sentence, /^127\.0\.0\.1 did not take it: .*ECONNREFUSED/)
})

const tripped = (more: Partial<Incident>): Incident => ({
  id: 1,
  kind: 'tripped',
  taskId: 12,
  number: 3,
  action: 'shop/poll',
  host: 'a',
  openedAt: 1_700_000_000_000,
  closedAt: null,
  closedHow: null,
  count: 1,
  lastAt: 1_700_000_000_000,
  lastTask: 12,
  facts: {},
  lines: null,
  ...more,
})
