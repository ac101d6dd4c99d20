import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { withoutSecrets } from '../../app/log.ts'
import { inPackage } from '../../app/paths.ts'

test('secrets are taken out of texts', () => {
  assert.equal(withoutSecrets('mysql://kim:hunter2@db/x is away'), 'mysql://kim:****@db/x is away')
  assert.equal(withoutSecrets('mysql://kim:p:a/s@s@db/x'), 'mysql://kim:****@db/x')
  assert.equal(withoutSecrets('GET /x?a=1&token=abc&b=2'), 'GET /x?a=1&token=****&b=2')
  assert.equal(withoutSecrets('GET /cron/0123456789abcdefXYZ_-'), 'GET /cron/****')
  assert.equal(withoutSecrets('at /admin/setup#0123456789abcdefXYZ_- now'), 'at /admin/setup#**** now')
  assert.equal(withoutSecrets('/admin/login/link#0123456789abcdefXYZ_-'), '/admin/login/link#****')
  assert.equal(withoutSecrets('Authorization: Bearer abc.def-1'), 'Authorization: Bearer ****')
  assert.equal(withoutSecrets('http://127.0.0.1:8080/admin'), 'http://127.0.0.1:8080/admin')
})

test('JSON lines without passwords, tokens and addresses', () => {
  const script = `
import { openLog } from ${JSON.stringify(inPackage('app', 'log.ts'))}
const log = openLog('web')
log.info({ user: 'kim', password: 'hunter2', deep: { token: 'hunter2', more: { cookie: 'hunter2' } } }, 'login at mysql://a:hunter2@h/d')
log.error({ err: new Error('cannot reach mysql://a:hunter2@h/d') }, 'away')
log.debug('not told')
`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  const lines = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  assert.ok(!stdout.includes('hunter2'), stdout)
  assert.deepEqual(
    lines.map(line => [line.level, line.name, line.msg]),
    [
      ['info', 'web', 'login at mysql://a:****@h/d'],
      ['error', 'web', 'away'],
    ],
  )
  assert.equal(lines[0]!.user, 'kim')
})
