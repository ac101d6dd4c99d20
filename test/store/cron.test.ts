import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { noteAsked, readCron } from '../../app/store/cron.ts'
import { dialects, freshDb, reopen } from './dialects.ts'

for (const dialect of dialects) {
  describe(`who asks for cron, on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('of several who saw the same, one does, also in one millisecond', async () => {
      const db = await freshDb(dialect)
      const other = await reopen(db.url)
      const now = Date.now()
      for (let round = 0; round < 5; round++) {
        const seen = await readCron(db)
        const asked = await Promise.all([db, other, db, other].map(one => noteAsked(one, seen, now)))
        assert.equal(asked.filter(Boolean).length, 1, `round ${round}`)
        assert.equal(await noteAsked(other, seen, now + 60_000), false)
      }
    })
  })
}
