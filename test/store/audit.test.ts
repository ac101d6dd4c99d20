import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CompiledQuery } from 'kysely'
import { appendAudit, checkAuditChain, listAudit, type NewAuditEntry, pruneAudit } from '../../app/store/audit.ts'
import { dialects, freshDb } from './dialects.ts'

const entry = (given: Partial<NewAuditEntry> = {}): NewAuditEntry => ({
  at: 1_000,
  userName: 'eva',
  ip: '10.0.0.1',
  via: 'form',
  act: 'task-stop',
  subject: '7',
  detail: null,
  ...given,
})

for (const dialect of dialects) {
  describe(`the audit of ${dialect.name}`, { skip: dialect.skip }, async () => {
    if (dialect.skip) return
    const db = await freshDb(dialect)
    const tamper = (sql: string) => db.kysely.executeQuery(CompiledQuery.raw(sql))

    test('many writers at once: numbered without gaps, one chain', async () => {
      await Promise.all(Array.from({ length: 40 }, (_, at) => appendAudit(db, entry({ at, userName: at % 2 ? 'eva' : null }))))
      const rows = await listAudit(db, { limit: 100 })
      assert.deepEqual(
        rows.map(row => row.id),
        Array.from({ length: 40 }, (_, n) => 40 - n),
      )
      assert.deepEqual(await checkAuditChain(db), { rows: 40, lastHash: rows[0]!.hash, broken: null })
    })

    test('hostile text is kept as it fits, and the chain holds', async () => {
      const long = '\ud83d\ude00'.repeat(200)
      for (const subject of ['a\0b', '\ud800', long, '', 'x ', "'; DROP TABLE bg_audit; --", '<script>', '\u202e']) {
        await appendAudit(db, entry({ subject, detail: subject, userName: subject }))
      }
      assert.equal((await checkAuditChain(db)).broken, null)
    })

    test('a row within a caller’s transaction is kept or undone with it', async () => {
      const before = (await checkAuditChain(db)).rows
      await assert.rejects(
        db.kysely.transaction().execute(async trx => {
          await appendAudit(db, entry(), trx)
          throw new Error('undone')
        }),
      )
      assert.equal((await checkAuditChain(db)).rows, before)
      await db.kysely.transaction().execute(trx => appendAudit(db, entry({ act: 'kept' }), trx))
      assert.equal((await checkAuditChain(db)).rows, before + 1)
    })

    test('filters: by user, act, thing and time', async () => {
      await appendAudit(db, entry({ at: 9_000, userName: 'adam', act: 'login', subject: null }))
      assert.equal((await listAudit(db, { limit: 10, userName: 'adam' })).length, 1)
      assert.equal((await listAudit(db, { limit: 10, act: 'login', userName: 'eva' })).length, 0)
      assert.equal((await listAudit(db, { limit: 10, since: 9_000, until: 9_001 })).length, 1)
    })

    test('pruned from its beginning, the rest is still proven', async () => {
      const { rows, lastHash } = await checkAuditChain(db)
      assert.equal(await pruneAudit(db, 10, 4), 4)
      assert.equal(await pruneAudit(db, 10, 1_000), 6)
      assert.equal(await pruneAudit(db, 10, 1_000), 0)
      assert.deepEqual(await checkAuditChain(db), { rows: rows - 10, lastHash, broken: null })
    })

    test('a changed, a removed and a cut off row are found', async () => {
      const broken = async () => (await checkAuditChain(db)).broken
      await tamper("UPDATE bg_audit SET user_name = 'adam' WHERE id = 20")
      assert.deepEqual(await broken(), { id: 20, why: 'changed' })
      await tamper("UPDATE bg_audit SET user_name = 'eva' WHERE id = 20")
      assert.equal(await broken(), null)
      const newest = (await listAudit(db, { limit: 1 }))[0]!.id
      await tamper(`DELETE FROM bg_audit WHERE id = ${newest}`)
      assert.deepEqual(await broken(), { id: newest, why: 'missing' })
      await tamper('DELETE FROM bg_audit WHERE id = 25')
      assert.deepEqual(await broken(), { id: 25, why: 'missing' })
    })
  })
}
