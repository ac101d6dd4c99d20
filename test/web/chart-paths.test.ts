import assert from 'node:assert/strict'
import { test } from 'node:test'
import { barPath, linePath, markPath, scaleOf } from '../../app/web/chart-paths.ts'

test('a line goes through the middles of the slots, is broken where there is nothing, and a lone value is a dash', () => {
  assert.equal(linePath([0, 5, null, 10, null], 10), 'M0.5 100L1.5 50M3.1 0h0.8')
  assert.equal(linePath([null, null], 10), '')
  assert.equal(linePath([20], 10), 'M0.1 0h0.8')
})

test('a bar stands for each slot that has something; nearly nothing is still to be seen', () => {
  assert.equal(barPath([10, 0, null, 5], 10), 'M0.1 100V0h0.8V100zM3.1 100V50h0.8V100z')
  assert.equal(barPath([0.001], 1_000), 'M0.1 100V98.5h0.8V100z')
  assert.equal(markPath([0, 59.26]), 'M0 0V100M59.3 0V100')
})

test('a scale ends at 1, 2 or 5 with noughts, at the highest value or above it', () => {
  for (const [values, most] of [
    [[], 1],
    [[null, 0], 1],
    [[1], 1],
    [[1.01], 2],
    [[0.3], 0.5],
    [[7, 12, null], 20],
    [[51], 100],
    [[67e6, 1], 1e8],
    [[0.07], 0.1],
  ] as [(number | null)[], number][])
    assert.ok(Math.abs(scaleOf(values) - most) < 1e-9, `${values}: ${scaleOf(values)}`)
  for (let value = 1e-6; value < 1e15; value *= 1.09) {
    const most = scaleOf([value])
    assert.ok(most >= value * (1 - 1e-6) && most <= value * 2.6, `${value}: ${most}`)
  }
})
