import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pruneOldest } from '../../app/store/prune-oldest.ts'
import { findResidentStart, noteResidentStart } from '../../app/store/resident-starts.ts'
import { dialects, freshDb } from './dialects.ts'

const startedWith = { code: { file: '/app/shop.ts', changedAt: 1, hash: 'abc' }, commit: null, node: '24.1.0', bgtask: '1.0.0' }
const process = { pid: 7, startTicks: 100, bootId: 'boot' }
const now = 1_700_000_000_000

for (const dialect of dialects) {
  describe(`with what resident runners were started on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('is told of that process alone, and forgotten when it was seen long ago', async () => {
      const db = await freshDb(dialect)
      await noteResidentStart(db, { host: 'h', process, startedWith, now })
      await noteResidentStart(db, {
        host: 'h',
        process: { ...process, pid: 8 },
        startedWith: { ...startedWith, node: '25.0.0' },
        now: now + 1,
      })
      assert.deepEqual(await findResidentStart(db, 'h', process), startedWith)
      assert.equal((await findResidentStart(db, 'h', { ...process, pid: 8 }))?.node, '25.0.0')
      for (const other of [{ startTicks: 101 }, { pid: 9 }, { bootId: 'other' }])
        assert.equal(await findResidentStart(db, 'h', { ...process, ...other }), null)
      assert.equal(await findResidentStart(db, 'other', process), null)

      // Seen again, it is as it was noted first, and stays.
      await noteResidentStart(db, { host: 'h', process, startedWith: { ...startedWith, node: '26.0.0' }, now: now + 10 })
      assert.equal(await pruneOldest(db, 'bg_resident_start', now + 10, 500), 1)
      assert.equal(await pruneOldest(db, 'bg_resident_start', now + 10, 500), 0)
      assert.deepEqual(await findResidentStart(db, 'h', process), startedWith)
      assert.equal(await findResidentStart(db, 'h', { ...process, pid: 8 }), null)
    })
  })
}
