import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { describe, test } from 'node:test'
import { fuzzKeys } from '../helpers/fuzz-keys.ts'
import { dialects, freshDb } from './dialects.ts'

// The long one is scripts/fuzz-keys.ts.
for (const dialect of dialects) {
  describe(`everything at once to a few unique keys on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('no key is held twice, and no task is lost', { timeout: 120_000 }, async () => {
      const seed = randomInt(1_000_000)
      const { wrong, figures } = await fuzzKeys(await freshDb(dialect), { seed, operations: 600, processes: 4, keys: 5 })
      assert.deepEqual(wrong, [], `seed ${seed}`)
      assert.ok(figures.busy! <= 6, `${figures.busy} operations were refused by a busy database`)
      for (const name of ['added', 'updated', 'replaced', 'claims'] as const) assert.ok(figures[name]! > 10, `${name} ${figures[name]}`)
    })
  })
}
