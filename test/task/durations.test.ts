import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { addDurations, type Durations, durationsText, noteDuration, percentileMs, readDurations } from '../../app/task/durations.ts'

const of = (...ms: number[]): Durations => {
  const durations: Durations = {}
  for (const one of ms) noteDuration(durations, one)
  return durations
}

describe('durations', () => {
  test('a percentile is off by 4.5 % at most, from a microsecond to a month', () => {
    for (let ms = 0.001; ms < 30 * 86_400_000; ms *= 1.37) {
      const read = percentileMs(of(ms), 50)!
      assert.ok(Math.abs(read / ms - 1) < 0.045, `${ms} is read as ${read}`)
    }
    assert.ok(percentileMs(of(0), 50)! <= 0.001)
  })

  test('half of them took at most the median, 95 of 100 at most the 95th', () => {
    const durations = of(...Array.from({ length: 90 }, () => 100), ...Array.from({ length: 10 }, () => 5_000))
    assert.ok(Math.abs(percentileMs(durations, 50)! - 100) < 5)
    assert.ok(Math.abs(percentileMs(durations, 90)! - 100) < 5)
    assert.ok(Math.abs(percentileMs(durations, 95)! - 5_000) < 250)
    assert.ok(Math.abs(percentileMs(durations, 100)! - 5_000) < 250)
    assert.equal(percentileMs({}, 50), null)
  })

  test('those of parts add up to those of the whole, and come back from a row as they were', () => {
    const parts = [of(1, 2, 2, 900), of(2, 2, 900_000), of()]
    const sum: Durations = {}
    for (const part of parts) addDurations(sum, readDurations(durationsText(part)))
    assert.deepEqual(sum, of(1, 2, 2, 900, 2, 2, 900_000))
    assert.equal(durationsText({}), '')
    assert.deepEqual(readDurations('80:3 x:1 9:y 12:-4 7:5junk 1000:1 81:2'), { 80: 3, 81: 2 })
  })
})
