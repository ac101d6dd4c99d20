import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { supervisorEnvironment } from '../../app/api/start-loop.ts'
import { loadConfig, maskedConfig } from '../../app/config.ts'
import { writeDatabaseUrl } from '../../app/runs/database-url-file.ts'
import { knownSecrets } from '../../app/runs/known-secrets.ts'
import { readNotify, writeNotify } from '../../app/runs/notify-file.ts'
import { isTold, notifyAction } from '../../app/task/notify.ts'
import { type QuietHours, quietUntil, readQuietHours } from '../../app/task/quiet-hours.ts'
import { webhookSecret } from './receiver.ts'

const webhook = { BGTASK_NOTIFY_WEBHOOK: 'https://hooks.example.com/T0/secret-of-a-chat', BGTASK_NOTIFY_SECRET: webhookSecret }
const mail = {
  BGTASK_NOTIFY_SMTP: 'smtps://bgtask:pass%2Fword@mail.example.com',
  BGTASK_NOTIFY_FROM: 'bgtask <bgtask@example.com>',
  BGTASK_NOTIFY_TO: 'ops@example.com, kim@example.com',
}

test('nothing set: nobody is told', async () => {
  assert.equal((await loadConfig({})).notify, null)
  assert.equal((await loadConfig({ BGTASK_NOTIFY_LANGUAGE: 'zh' })).notify, null)
})

test('what is set is shown without what is secret in it', async () => {
  const config = await loadConfig({ ...webhook, ...mail, BGTASK_NOTIFY_QUIET: '22:00-07:00 europe/berlin' })
  const shown = JSON.stringify(maskedConfig(config))
  assert.doesNotMatch(shown, /secret-of-a-chat|pass%2Fword|pass\/word|BwcH/)
  assert.match(shown, /https:\/\/hooks\.example\.com\/\*\*\*\*/)
  assert.match(shown, /22:00-07:00 Europe\/Berlin/)
  const { values } = knownSecrets(config, {})
  for (const secret of ['/T0/secret-of-a-chat', 'pass%2Fword', 'pass/word', webhookSecret.slice(6)])
    assert.ok(values.includes(secret), secret)
})

test('a process of ours is handed it by a file, and no environment has a secret of it', async t => {
  const runtime = mkdtempSync(join(tmpdir(), 'bgtask-notify-'))
  t.after(() => rmSync(runtime, { recursive: true }))
  const given = { ...webhook, ...mail, BGTASK_RUNTIME: runtime }
  const config = await loadConfig(given)
  const env = supervisorEnvironment(config, given)
  assert.doesNotMatch(JSON.stringify(env), /secret-of-a-chat|pass%2Fword|whsec/)
  writeNotify(runtime, config.notify!)
  writeDatabaseUrl(runtime, config.databaseUrl)
  assert.deepEqual((await loadConfig(env)).notify, config.notify)
  assert.deepEqual(readNotify(runtime), config.notify)
  for (const name of ['BGTASK_NOTIFY_WEBHOOK', 'BGTASK_NOTIFY_SECRET', 'BGTASK_NOTIFY_SMTP'])
    await assert.rejects(loadConfig({ ...given, BGTASK_CHILD_ENV: name }), new RegExp(`BGTASK_CHILD_ENV names ${name}`))
  writeFileSync(join(runtime, 'smtp'), 'smtp://127.0.0.1\n')
  assert.equal(
    (await loadConfig({ ...mail, BGTASK_NOTIFY_SMTP: '', BGTASK_NOTIFY_SMTP_FILE: join(runtime, 'smtp') })).notify!.mail!.smtp,
    'smtp://127.0.0.1',
  )
})

test('a setting that cannot be is refused with what is wrong, without repeating a secret', async () => {
  const refused: [Record<string, string>, RegExp][] = [
    [{ ...webhook, BGTASK_NOTIFY_SECRET: '' }, /BGTASK_NOTIFY_SECRET is not set.*openssl/],
    [{ ...webhook, BGTASK_NOTIFY_SECRET: 'whsec_c2hvcnQ=' }, /BGTASK_NOTIFY_SECRET is no key/],
    [{ BGTASK_NOTIFY_SECRET: webhookSecret }, /BGTASK_NOTIFY_WEBHOOK is not/],
    [{ ...webhook, BGTASK_NOTIFY_WEBHOOK: 'ftp://secret-of-a-chat' }, /must be like https:/],
    [
      { ...webhook, BGTASK_NOTIFY_WEBHOOK: 'http://hooks.example.com/secret-of-a-chat' },
      /without TLS.*BGTASK_NOTIFY_ALLOW=hooks\.example\.com/,
    ],
    [{ ...webhook, BGTASK_NOTIFY_WEBHOOK: 'https://kim:secret-of-a-chat@example.com/' }, /user name/],
    [{ ...mail, BGTASK_NOTIFY_SMTP: 'mail.example.com' }, /must be like smtps:/],
    [{ ...mail, BGTASK_NOTIFY_FROM: '' }, /BGTASK_NOTIFY_FROM is ""/],
    [{ ...mail, BGTASK_NOTIFY_FROM: 'a@example.com\r\nBcc: eve@example.com' }, /BGTASK_NOTIFY_FROM/],
    [{ ...mail, BGTASK_NOTIFY_TO: 'ops@example.com\r\nBcc: eve@example.com' }, /BGTASK_NOTIFY_TO/],
    [{ ...mail, BGTASK_NOTIFY_TO: '' }, /BGTASK_NOTIFY_TO/],
    [{ BGTASK_NOTIFY_TO: 'ops@example.com' }, /BGTASK_NOTIFY_SMTP is not/],
    [{ ...mail, BGTASK_NOTIFY_QUIET: '22-7' }, /must be like 22:00-07:00/],
    [{ ...mail, BGTASK_NOTIFY_QUIET: '22:00-07:00 Berlin' }, /did you mean Europe\/Berlin/],
    [{ ...mail, BGTASK_NOTIFY_LANGUAGE: 'de' }, /en and zh/],
    [{ ...mail, BGTASK_NOTIFY_ACTIONS: 'shop' }, /shop\/\* for all of shop/],
    [{ ...mail, BGTASK_NOTIFY_GATHER: '0' }, /from 1 to 60/],
  ]
  for (const [env, sentence] of refused) {
    await assert.rejects(loadConfig(env), (error: Error) => {
      assert.match(error.message, sentence)
      assert.doesNotMatch(error.message, /secret-of-a-chat|pass%2Fword/)
      return true
    })
  }
})

test('quiet hours, over midnight, in their zone, and when clocks are changed', () => {
  const of = (text: string) => readQuietHours(text) as QuietHours
  const at = (text: string) => Date.parse(text)
  const night = of('22:00-07:00 Europe/Berlin')
  assert.equal(quietUntil(night, at('2026-11-21T12:00:00Z')), null)
  assert.equal(quietUntil(night, at('2026-11-21T21:00:00Z')), at('2026-11-22T06:00:00Z'))
  assert.equal(quietUntil(night, at('2026-11-22T05:59:00Z')), at('2026-11-22T06:00:00Z'))
  assert.equal(quietUntil(night, at('2026-11-22T06:00:00Z')), null)
  // The night in which clocks are set forward is an hour shorter.
  assert.equal(quietUntil(night, at('2026-03-28T21:00:00Z')), at('2026-03-29T05:00:00Z'))
  // 02:30 is none that night.
  assert.equal(quietUntil(of('01:00-02:30 Europe/Berlin'), at('2026-03-29T00:30:00Z')), at('2026-03-29T01:30:00Z'))
  assert.equal(quietUntil(of('12:00-13:00'), at('2026-11-21T12:30:00Z')), at('2026-11-21T13:00:00Z'))
})

test('of its own failures nothing is told, whatever is set', () => {
  assert.equal(isTold({ actions: [] }, notifyAction), false)
  assert.equal(isTold({ actions: ['core/*'] }, notifyAction), false)
  assert.equal(isTold({ actions: ['shop/*'] }, 'shop/poll'), true)
  assert.equal(isTold({ actions: ['shop/*'] }, 'shopping/poll'), false)
  assert.equal(isTold({ actions: ['shop/poll'] }, null), true)
})
