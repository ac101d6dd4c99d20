import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execForeverInterval, type IntervalOptions, type Iteration } from '../../app/index.ts'
import { spawnRun } from './spawn-run.ts'

describe('execForeverInterval outside of a run', () => {
  it('begins at once and keeps its distance from the end of one iteration to the start of the next', async () => {
    // A busy machine makes starts late now and then; what keeps too long a distance by itself does so every time.
    for (let tries = 1; ; tries++) {
      const [starts, ends] = await times(4, 50, { takesMs: 30 })
      const gaps = [1, 2, 3].map(n => starts[n]! - ends[n - 1]!)
      assert.ok(Math.min(...gaps) >= 50, `gaps ${gaps}`)
      if (starts[0]! < 20 && Math.max(...gaps) < 75) return
      assert.ok(tries < 8, `first after ${starts[0]} ms, gaps ${gaps}`)
    }
  })

  it('never begins an iteration before the one before it has ended, however short the interval', async () => {
    let running = 0
    let most = 0
    await loop(5, 0, async () => {
      most = Math.max(most, ++running)
      await sleep(20)
      running--
    })
    assert.equal(most, 1)
  })

  it('does not drift at a fixed rate: start n lies at n × ms', async () => {
    // A busy machine makes starts late now and then; what drifts, by 5 ms a round here, is late every time.
    for (let tries = 1; ; tries++) {
      const [starts] = await times(21, 25, { rate: 'fixed', takesMs: 5 })
      const lateMs = starts.map((at, n) => at - starts[0]! - n * 25)
      assert.ok(Math.min(...lateMs) >= 0, `one began ${-Math.min(...lateMs)} ms early`)
      if (Math.max(...lateMs) < 20) return
      assert.ok(tries < 8, `late by ${lateMs.map(Math.round).join(', ')} ms`)
    }
  })

  it('skips the rounds that a long iteration missed, and stays on the grid', async () => {
    for (let tries = 1; ; tries++) {
      const starts: number[] = []
      await loop(
        4,
        100,
        async ({ number }) => {
          starts.push(performance.now())
          if (number === 2) await sleep(250)
        },
        { rate: 'fixed' },
      )
      const rounds = starts.map(at => Math.floor((at - starts[0]!) / 100)).join()
      if (rounds === '0,1,4,5') return
      assert.ok(tries < 8, rounds)
    }
  })

  it('takes sync functions, and lets others have the event loop in between', async () => {
    let others = 0
    const timer = setInterval(() => others++, 1)
    await loop(2000, 0, () => {})
    clearInterval(timer)
    assert.ok(others > 0)
  })

  it('numbers its iterations from 1 and says how it ended', async () => {
    const numbers: number[] = []
    const ended = await execForeverInterval(({ number }) => numbers.push(number), 1, { maxIterations: 3 })
    assert.deepEqual(numbers, [1, 2, 3])
    assert.deepEqual(ended, { verdict: 'success', content: 'recycled after 3 iterations' })
  })

  it('ends at once while it waits when its signal aborts, and after the iteration when that is under way', async () => {
    const waiting = new AbortController()
    const started = performance.now()
    setTimeout(() => waiting.abort(), 50)
    const ended = await execForeverInterval(() => {}, 3_600_000, { signal: waiting.signal })
    assert.ok(performance.now() - started < 500)
    assert.equal(ended.content, 'stopped after 1 iteration')

    const working = new AbortController()
    let finished = 0
    await execForeverInterval(
      async ({ signal }) => {
        setTimeout(() => working.abort(), 20)
        await sleep(60)
        assert.equal(signal.aborted, true)
        finished++
      },
      10,
      { signal: working.signal },
    )
    assert.equal(finished, 1)
  })

  it('takes it for no error when an iteration ends early by the signal', async () => {
    const stop = new AbortController()
    setTimeout(() => stop.abort(), 30)
    const ended = await execForeverInterval(({ signal }) => sleep(60_000, undefined, { signal }), 10, { signal: stop.signal })
    assert.equal(ended.content, 'stopped after 1 iteration')
  })

  it('throws what an iteration threw, or goes on after it', async () => {
    const broken = new Error('broken')
    await assert.rejects(
      execForeverInterval(() => {
        throw broken
      }, 10),
      broken,
    )
    let calls = 0
    const ended = await quietly(() =>
      execForeverInterval(
        async () => {
          if (++calls % 2) throw undefined
        },
        1,
        { onError: 'continue', maxIterations: 4 },
      ),
    )
    assert.equal(calls, 4)
    assert.equal(ended.content, 'recycled after 4 iterations')
  })

  it('recycles by age and by memory', async () => {
    const old = await execForeverInterval(() => {}, 10, { maxAgeMs: 50 })
    assert.match(old.content, /^recycled after \d+ ms$/)
    const large = await execForeverInterval(() => {}, 10, { maxRssMb: 1 })
    assert.match(large.content, /^recycled at \d+ MB of memory, after 1 iterations$/)
  })

  it('waits longer than one timer can', async () => {
    const stop = new AbortController()
    setTimeout(() => stop.abort(), 30)
    let calls = 0
    await execForeverInterval(() => void calls++, 2 ** 40, { signal: stop.signal })
    assert.equal(calls, 1)
  })

  for (const [given, sentence] of [
    [['poll', 5], 'the first argument is "poll"; it must be a function'],
    [[() => {}, -1], 'the second argument is -1; it must be a number of milliseconds, 0 or more'],
    [[() => {}, Number.NaN], 'the second argument is NaN'],
    [[() => {}, '5'], 'the second argument is "5"'],
    [[() => {}], 'the second argument is undefined'],
    [[() => {}, 5, 7], 'the third argument is 7; it must be an object with options'],
    [[() => {}, 5, { rate: 'fast' }], `option rate is "fast"; it must be 'delay' or 'fixed'`],
    [[() => {}, 5, { onError: 'ignore' }], `option onError is "ignore"; it must be 'end' or 'continue'`],
    [[() => {}, 5, { maxIterations: 0 }], 'option maxIterations is 0; it must be a whole number, 1 or more'],
    [[() => {}, 5, { maxAgeMs: -5 }], 'option maxAgeMs is -5; it must be a number above 0'],
    [[() => {}, 5, { maxMemory: 5 }], 'option maxMemory is 5; it must be one of rate, onError, maxIterations'],
    [[() => {}, 5, { signal: true }], 'option signal is true; it must be an AbortSignal'],
  ] as const) {
    it(`refuses: ${sentence}`, async () => {
      const call = execForeverInterval as (...given: unknown[]) => Promise<unknown>
      await assert.rejects(call(...given), (error: Error) => {
        assert.ok(error instanceof TypeError)
        assert.ok(error.message.startsWith(`execForeverInterval: ${sentence}`), error.message)
        return true
      })
    })
  }
})

describe('execForeverInterval in a run', () => {
  it('reports its iterations by the beat at most once a second, and the last state at the end', async () => {
    const run = await spawnRun('test/forever-fast', { ticket: { execType: 'FOREVER' } })
    while (!run.beat()) await sleep(5)
    const seen = new Set<number>()
    const started = performance.now()
    while (performance.now() - started < 2500) {
      const beat = run.beat()
      if (beat) seen.add(beat.at)
      await sleep(5)
    }
    run.stop('interrupted')
    const { outcome } = await run.end()
    assert.ok(seen.size >= 2 && seen.size <= 4, `${seen.size} writes`)
    assert.ok(outcome!.iterations! > 1000, `${outcome!.iterations}`)
    const beat = run.beat()!
    assert.equal(beat.iterations, outcome!.iterations)
    assert.equal(beat.errors, 0)
    assert.ok(beat.memoryBytes > 1e6)
    assert.equal(beat.iterationStartedAt, null)
    assert.ok(beat.lastIterationMs! >= 0 && beat.lastIterationMs! < 100)
  })

  it('ends its wait at once when the run is asked to stop', async () => {
    const run = await spawnRun('test/forever', { params: { intervalMs: 3_600_000 }, ticket: { execType: 'FOREVER' } })
    await run.says('iteration')
    while (!run.beat()) await sleep(5)
    const asked = performance.now()
    run.stop('interrupted')
    const { outcome } = await run.end()
    assert.equal(outcome?.kind, 'interrupted')
    assert.ok(performance.now() - asked < 1000, `${performance.now() - asked} ms`)
    assert.ok(run.beat()!.nextIterationAt! > Date.now() + 3_000_000)
  })

  it('counts and prints the errors of iterations it goes on after', async () => {
    const run = await spawnRun('test/throws-now-and-then', { params: { onError: 'continue' }, ticket: { execType: 'FOREVER' } })
    await run.says('iteration 6 threw: third time')
    run.stop('interrupted')
    const { outcome, output } = await run.end()
    assert.equal(outcome?.kind, 'interrupted')
    assert.match(outcome!.content!, /^stopped after \d+ iterations, \d+ of which threw$/)
    assert.ok(run.beat()!.errors >= 2)
    assert.equal(run.beat()!.lastError, 'third time')
    assert.match(output, /Error: third time\n +at /)
  })

  it('fails the run by the error of an iteration otherwise', async () => {
    const run = await spawnRun('test/throws-now-and-then', { ticket: { execType: 'FOREVER' } })
    const { outcome } = await run.end()
    assert.deepEqual([outcome?.kind, outcome?.content, outcome?.iterations], ['failed', 'third time', 3])
    assert.equal(run.beat()?.errors, 1)
  })

  it('asks for a fresh process by maxIterations and by maxRssMb', async () => {
    const counted = await (await spawnRun('test/recycles', { ticket: { execType: 'FOREVER' } })).end()
    assert.deepEqual(
      [counted.code, counted.outcome?.kind, counted.outcome?.recycled, counted.outcome?.content, counted.outcome?.iterations],
      [0, 'succeeded', true, 'recycled after 3 iterations', 3],
    )
    const leaking = await (await spawnRun('test/leaks-memory', { ticket: { execType: 'FOREVER' } })).end()
    assert.deepEqual([leaking.outcome?.kind, leaking.outcome?.recycled], ['succeeded', true])
    assert.match(leaking.outcome!.content!, /^recycled at 2\d\d MB of memory, after \d+ iterations$/)
  })

  it('ends the other loops of the run too when one asks for a fresh process', async () => {
    const { outcome, tookMs } = await (await spawnRun('test/two-loops', { ticket: { execType: 'FOREVER' } })).end()
    assert.deepEqual([outcome?.kind, outcome?.recycled], ['succeeded', true])
    assert.ok(tookMs < 10_000)
  })

  it('counts iterations of a loop of its own by ctx.beat()', async () => {
    const run = await spawnRun('test/own-loop', { ticket: { execType: 'FOREVER' } })
    const { outcome } = await run.end()
    assert.equal(outcome?.iterations, 5)
    assert.equal(run.beat()?.iterations, 5)
  })
})

const loop = (count: number, ms: number, fn: (iteration: Iteration) => unknown, options: IntervalOptions = {}) =>
  execForeverInterval(fn, ms, { ...options, maxIterations: count })

/** Starts and ends of `count` iterations, in milliseconds from the call. */
const times = async (count: number, ms: number, { takesMs, ...options }: IntervalOptions & { takesMs: number }) => {
  const starts: number[] = []
  const ends: number[] = []
  const called = performance.now()
  const work = async () => {
    starts.push(performance.now() - called)
    await sleep(takesMs)
    ends.push(performance.now() - called)
  }
  await loop(count, ms, work, options)
  return [starts, ends] as const
}

/** What is printed on purpose does not belong in the report of the tests. */
const quietly = async <T>(act: () => Promise<T>): Promise<T> => {
  const { error } = console
  console.error = () => {}
  try {
    return await act()
  } finally {
    console.error = error
  }
}
