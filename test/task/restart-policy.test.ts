import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  areForgiven,
  backoffMs,
  decideRestart,
  freshMemory,
  type Life,
  type RestartMemory,
  recallFailures,
} from '../../app/task/restart-policy.ts'

const life = (endedAt: number, livedMs: number, more: Partial<Life> = {}): Life => ({
  startedAt: endedAt - livedMs,
  endedAt,
  iterations: 0,
  outcome: 'failed',
  exitCode: 1,
  recycled: false,
  ...more,
})

/** Lets a loop that always fails after `livedMs` run for `forMs`, and tells when it was started. */
const startsOf = (livedMs: number, forMs: number): number[] => {
  const starts: number[] = []
  let memory: RestartMemory = freshMemory
  for (let at = 0; at < forMs; ) {
    starts.push(at)
    const decided = decideRestart(memory, life(at + livedMs, livedMs), 0.5)
    memory = decided.memory
    at += livedMs + ('delayMs' in decided.restart ? decided.restart.delayMs : 0)
  }
  return starts
}

describe('the restart rule', () => {
  test('an isolated failure restarts at once: the first of a fresh loop and the first after a healthy life', () => {
    const first = decideRestart(freshMemory, life(1_000, 500), 0)
    assert.deepEqual(first.restart, { kind: 'at-once', why: 'isolated' })
    const second = decideRestart(first.memory, life(2_000, 500), 0)
    assert.equal(second.restart.kind, 'backing-off')
    const afterHealth = decideRestart(second.memory, life(100_000, 61_000), 0)
    assert.deepEqual(afterHealth.restart, { kind: 'at-once', why: 'isolated' })
    const afterIterations = decideRestart(second.memory, life(100_000, 2_000, { iterations: 10 }), 0)
    assert.deepEqual(afterIterations.restart, { kind: 'at-once', why: 'isolated' })
  })

  test('a loop that fails at once is started 7 times in the first five minutes, then probed, never given up', () => {
    assert.equal(startsOf(50, 290_000).length, 6)
    const day = startsOf(50, 86_400_000)
    assert.ok(day.length < 80, `${day.length} starts in a day`)
    assert.ok(day.at(-1)! > 86_400_000 - 2_100_000, 'it is still probed at the end of the day')
  })

  test('a loop that lives 1.2 s each time is slowed and tripped just the same', () => {
    assert.ok(startsOf(1_200, 60_000).length <= 7)
    assert.ok(startsOf(1_200, 3_600_000).length <= 15)
  })

  test('a loop that fails every three minutes stays below the short budget and is tripped by none', () => {
    let memory: RestartMemory = freshMemory
    for (let n = 1; n <= 40; n++) {
      const decided = decideRestart(memory, life(n * 180_000, 170_000), 0.5)
      assert.equal(decided.restart.kind, 'at-once')
      memory = decided.memory
    }
  })

  test('exit code 78 trips at once and says so', () => {
    const { restart } = decideRestart(freshMemory, life(1_000, 100, { exitCode: 78 }), 0)
    assert.equal(restart.kind, 'tripped')
    assert.equal(restart.kind === 'tripped' && restart.misconfigured, true)
  })

  test('recycling, an interruption and a healthy return wait for nothing and count for nothing', () => {
    for (const more of [{ outcome: 'succeeded', recycled: true }, { outcome: 'interrupted' }, { outcome: 'cancelled' }] as const) {
      const { restart, memory } = decideRestart(freshMemory, life(10_000, 5_000, more), 0)
      assert.equal(restart.kind, 'at-once')
      assert.deepEqual(memory, freshMemory)
    }
    assert.equal(decideRestart(freshMemory, life(100_000, 70_000, { outcome: 'succeeded' }), 0).restart.kind, 'at-once')
  })

  test('a recycling limit that is reached at once slows the loop, and does not trip it', () => {
    let memory: RestartMemory = freshMemory
    for (let n = 1; n <= 20; n++) {
      const decided = decideRestart(memory, life(n * 1_000, 100, { outcome: 'succeeded', recycled: true }), 0)
      assert.equal(decided.restart.kind, 'backing-off')
      memory = decided.memory
    }
    assert.deepEqual([memory.inARow, memory.failedAt, memory.probes], [20, [], 0])
  })

  test('failures that lie in the future, after the clock was set back, count for nothing', () => {
    const ahead = { failedAt: Array.from({ length: 30 }, (_, n) => 10_000_000 + n), inARow: 0, probes: 0 }
    assert.equal(decideRestart(ahead, life(1_000, 500), 0).restart.kind, 'at-once')
  })

  test('a loop that returns at once is slowed too: nothing is started without end', () => {
    let memory: RestartMemory = freshMemory
    for (let n = 1; n <= 6; n++) memory = decideRestart(memory, life(n * 1_000, 10, { outcome: 'succeeded', exitCode: 0 }), 0).memory
    assert.equal(memory.probes, 1)
  })

  test('a probe that lives a healthy life closes the matter', () => {
    const tripped: RestartMemory = { failedAt: [1, 2, 3, 4, 5, 6], inARow: 6, probes: 2 }
    const { restart, memory } = decideRestart(tripped, life(10_000_000, 120_000), 0)
    assert.equal(restart.kind, 'at-once')
    assert.equal(memory.probes, 0)
  })

  test('a loop that lives 70 s each time has not recovered whenever it has lived for a minute', () => {
    const livedMs = 70_000
    let memory: RestartMemory = freshMemory
    let troubled = false
    const trips: number[] = []
    const recoveries: number[] = []
    for (let at = 0; at < 21_600_000; ) {
      if (troubled && areForgiven(memory, at + livedMs)) {
        recoveries.push(at + livedMs)
        troubled = false
      }
      const { restart, memory: next } = decideRestart(memory, life(at + livedMs, livedMs), 0.5)
      memory = next
      if (restart.kind === 'tripped') {
        trips.push(at + livedMs)
        troubled = true
      }
      at += livedMs + ('delayMs' in restart ? restart.delayMs : 0)
    }
    assert.ok(trips.length > 20, `it trips again and again: ${trips.length} times in six hours`)
    assert.ok(recoveries.length <= 6, `${recoveries.length} recoveries in six hours`)
  })

  test('a loop that tripped by a handful of failures has recovered with its first healthy life, which comes after a pause', () => {
    let memory: RestartMemory = freshMemory
    for (let n = 1; n <= 6; n++) memory = decideRestart(memory, life(n * 5_000, 50), 0).memory
    assert.equal(memory.probes, 1)
    assert.equal(areForgiven(memory, 30_000), false)
    assert.equal(areForgiven(memory, 30_000 + 300_000 + 60_000), true)
    assert.equal(areForgiven(freshMemory, 0), true)
  })

  test('what the rule remembers can be rebuilt from the runs', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            gapMs: fc.nat(200_000),
            livedMs: fc.nat(100_000),
            iterations: fc.nat(20),
            outcome: fc.constantFrom('failed', 'killed', 'succeeded', 'interrupted'),
          }),
          {
            maxLength: 40,
          },
        ),
        steps => {
          let at = 0
          const lives = steps.map(step => {
            at += step.gapMs + step.livedMs
            return life(at, step.livedMs, { iterations: step.iterations, outcome: step.outcome as Life['outcome'] })
          })
          let memory: RestartMemory = freshMemory
          for (const [index, one] of lives.entries()) memory = decideRestart(memory, one, index / lives.length).memory
          assert.deepEqual(recallFailures(lives), memory)
        },
      ),
    )
  })

  test('the wait doubles from 1 s, never exceeds 60 s, and is spread', () => {
    assert.equal(backoffMs(1, 0), 1_000)
    assert.equal(backoffMs(3, 0), 4_000)
    assert.equal(backoffMs(3, 0.999), 7_996)
    for (let n = 1; n < 100; n++) assert.ok(backoffMs(n, Math.random()) >= 1_000 && backoffMs(n, Math.random()) <= 60_000)
  })
})
