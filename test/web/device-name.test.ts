import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deviceName } from '../../app/web/device-name.ts'

test('browsers are named by what they are, not by whom they resemble', () => {
  const mozilla = 'Mozilla/5.0'
  const webkit = 'AppleWebKit/537.36 (KHTML, like Gecko)'
  for (const [userAgent, browser, system, handheld] of [
    [`${mozilla} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0`, 'Firefox', 'Linux', false],
    [`${mozilla} (Windows NT 10.0; Win64; x64) ${webkit} Chrome/140.0.0.0 Safari/537.36`, 'Chrome', 'Windows', false],
    [`${mozilla} (Windows NT 10.0; Win64; x64) ${webkit} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0`, 'Edge', 'Windows', false],
    [`${mozilla} (X11; Linux x86_64) ${webkit} Chrome/140.0.0.0 Safari/537.36 OPR/120.0.0.0`, 'Opera', 'Linux', false],
    [
      `${mozilla} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15`,
      'Safari',
      'macOS',
      false,
    ],
    [
      `${mozilla} (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1`,
      'Safari',
      'iPhone',
      true,
    ],
    [
      `${mozilla} (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1`,
      'Chrome',
      'iPhone',
      true,
    ],
    [
      `${mozilla} (Linux; Android 15; SM-S911B) ${webkit} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36`,
      'Samsung Internet',
      'Android',
      true,
    ],
    [`${mozilla} (X11; CrOS x86_64 16093.57.0) ${webkit} Chrome/140.0.0.0 Safari/537.36`, 'Chrome', 'ChromeOS', false],
    ['curl/8.5.0', 'curl', null, false],
  ] as const) {
    assert.deepEqual(deviceName(userAgent), { browser, system, handheld }, userAgent)
  }
})

test('of what is no browser, too long or hostile, nothing but words of ours comes out', () => {
  for (const userAgent of [
    null,
    undefined,
    '',
    'nonsense',
    '<script>alert(1)</script>',
    '\u202eFirefox',
    'a'.repeat(100_000),
    '__proto__',
  ]) {
    assert.deepEqual(deviceName(userAgent), { browser: null, system: null, handheld: false })
  }
  // Its own time on a processor: on a busy machine others have their turn meanwhile.
  const began = process.cpuUsage()
  deviceName(`Version/${'Version/'.repeat(100_000)}`)
  assert.ok(process.cpuUsage(began).user < 100_000)
})
