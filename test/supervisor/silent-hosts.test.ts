import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Host } from '../../app/store/hosts.ts'
import { SilentHosts } from '../../app/supervisor/silent-hosts.ts'

const wall = 1_700_000_000_000
const other = (more: Partial<Host> = {}): Host => ({
  ...{ host: 'b', epoch: 'e1', beat: 7, beatAt: wall - 3_000, pid: 9, version: '1', hostname: 'web2', runtime: '/r', startedAt: 0 },
  ...{ leftAt: null, running: 0, loops: 0 },
  ...more,
})
const own = other({ host: 'a' })

/** Looks each ten seconds; `hosts` says what the rows are at that second. */
const watch = (untilS: number, hosts: (second: number) => Host[], fromS = 0) => {
  const watching = new SilentHosts('a')
  const told: string[] = []
  for (let second = fromS; second <= untilS; second += 10) {
    const { silent, back } = watching.look(hosts(second), second * 1_000, wall + second * 1_000)
    for (const { host, silentMs } of silent) told.push(`${second}: ${host} silent for ${silentMs / 1_000}`)
    for (const { host } of back) told.push(`${second}: ${host} back`)
  }
  return told
}

test('a host whose beat stands still for a minute is silent, once, and back when it moves', () => {
  const beating = (second: number) => other({ beat: second <= 20 || second >= 200 ? second : 20 })
  assert.deepEqual(
    watch(300, second => [own, beating(second)]),
    ['80: b silent for 60', '200: b back'],
  )
})

test('ours, one that has left in good order, and one that was given up long ago are not told', () => {
  assert.deepEqual(
    watch(300, () => [own]),
    [],
  )
  assert.deepEqual(
    watch(300, second => [other({ beat: Math.min(second, 20), leftAt: second > 20 ? wall : null })]),
    [],
  )
  assert.deepEqual(
    watch(300, () => [other({ beatAt: wall - 3_600_000 })]),
    [],
  )
  // It had died a minute before we began: nobody else may be there to tell it.
  assert.deepEqual(
    watch(300, () => [other({ beatAt: wall - 60_000 })]),
    ['60: b silent for 60'],
  )
})

test('one that is silent and then leaves, or begins another life, is back', () => {
  assert.deepEqual(
    watch(200, second => [other({ leftAt: second >= 100 ? wall : null })]),
    ['60: b silent for 60', '100: b back'],
  )
  assert.deepEqual(
    watch(150, second => [other({ epoch: second >= 100 ? 'e2' : 'e1' })]),
    ['60: b silent for 60', '100: b back'],
  )
})

test('who could not look for a while accuses nobody of silence', () => {
  const watching = new SilentHosts('a')
  assert.deepEqual(watching.look([other()], 0, wall).silent, [])
  assert.deepEqual(watching.look([other()], 300_000, wall + 300_000).silent, [], 'the database was away, for the other one too')
  for (let second = 310; second < 360; second += 10)
    assert.deepEqual(watching.look([other()], second * 1_000, wall + second * 1_000).silent, [])
  assert.equal(watching.look([other()], 360_000, wall + 360_000).silent.length, 1)
})
