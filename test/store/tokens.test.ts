import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findToken, insertToken, listTokens, noteTokenUse, revokeToken } from '../../app/store/tokens.ts'
import { dialects, freshDb } from './dialects.ts'

const token = (name: string) => ({
  name,
  hash: name.padEnd(64, '0'),
  scopes: ['task:read', 'task:add:报告/*'],
  createdBy: 'kim',
  createdAt: 1_000,
  expiresAt: null,
})

for (const dialect of dialects) {
  test(`${dialect.name}: tokens are stored as they were given, newest first`, { skip: dialect.skip }, async () => {
    const db = await freshDb(dialect)
    const ids = []
    for (const name of ['one', 'two', 'three']) ids.push(await insertToken(db, { ...token(name), expiresAt: 2_000 }))
    assert.equal(new Set(ids).size, 3)
    assert.deepEqual(await findToken(db, ids[1]!), {
      ...token('two'),
      id: ids[1],
      expiresAt: 2_000,
      lastUsedAt: null,
      lastUsedIp: null,
      revokedAt: null,
      revokedBy: null,
    })
    assert.equal(await findToken(db, 999), null)
    const names = async (page: Parameters<typeof listTokens>[1]) => (await listTokens(db, page)).map(({ name }) => name)
    assert.deepEqual(await names({ limit: 2 }), ['three', 'two'])
    assert.deepEqual(await names({ limit: 2, before: ids[1]! }), ['one'])
  })

  test(`${dialect.name}: use is noted once a minute, whoever tells of it first`, { skip: dialect.skip }, async () => {
    const db = await freshDb(dialect)
    const id = await insertToken(db, token('used'))
    const everyMs = 60_000
    await Promise.all(['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(ip => noteTokenUse(db, id, { at: 5_000, ip, everyMs })))
    const first = await findToken(db, id)
    assert.equal(first?.lastUsedAt, 5_000)
    await noteTokenUse(db, id, { at: 64_999, ip: 'later', everyMs })
    assert.deepEqual(await findToken(db, id), first)
    await noteTokenUse(db, id, { at: 65_000, ip: 'x'.repeat(200), everyMs })
    assert.deepEqual(await findToken(db, id), { ...first, lastUsedAt: 65_000, lastUsedIp: 'x'.repeat(64) })
  })

  test(`${dialect.name}: of many who revoke a token one has done it`, { skip: dialect.skip }, async () => {
    const db = await freshDb(dialect)
    const id = await insertToken(db, token('bad'))
    const others = await insertToken(db, token('good'))
    const done = await Promise.all(Array.from({ length: 8 }, (_, index) => revokeToken(db, id, `admin ${index}`, 7_000)))
    assert.equal(done.filter(Boolean).length, 1)
    const revoked = await findToken(db, id)
    assert.equal(revoked?.revokedAt, 7_000)
    assert.equal(revoked?.revokedBy, `admin ${done.indexOf(true)}`)
    assert.equal((await findToken(db, others))?.revokedAt, null)
    assert.equal(await revokeToken(db, 999, 'kim', 7_000), false)
  })
}
