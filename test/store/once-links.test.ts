import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { findOnceLink, insertOnceLink, useOnceLink } from '../../app/store/once-links.ts'
import { dialects, freshDb } from './dialects.ts'

const now = 1_700_000_000_000

for (const dialect of dialects) {
  describe(`one-time links in ${dialect.name}`, { skip: dialect.skip }, () => {
    test('one opens once, in its time, for its purpose; of many who try at once, one is let in', async () => {
      const db = await freshDb(dialect)
      const link = (tokenHash: string) => insertOnceLink(db, { tokenHash, purpose: 'login', expiresAt: now, detail: '7' })
      for (const name of ['late', 'good', 'raced']) await link(name)
      assert.equal(await useOnceLink(db, 'late', 'login', now), null)
      assert.equal((await findOnceLink(db, 'late'))?.usedAt, null)
      assert.equal(await useOnceLink(db, 'good', 'first-user', now - 1), null)
      assert.equal((await useOnceLink(db, 'good', 'login', now - 1))?.detail, '7')
      assert.equal(await useOnceLink(db, 'good', 'login', now - 1), null)
      const opened = await Promise.all(Array.from({ length: 8 }, () => useOnceLink(db, 'raced', 'login', now - 1)))
      assert.equal(opened.filter(one => one !== null).length, 1)
    })
  })
}
