import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CompiledQuery } from 'kysely'
import { appendAudit, checkAuditChain, listAudit, type NewAuditEntry, oldestAuditAt, pruneAudit, tryAudit } from '../../app/store/audit.ts'
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
      const either = await listAudit(db, { limit: 3, act: ['login', 'kept', 'nothing'] })
      assert.deepEqual(
        either.map(({ act }) => act),
        ['login', 'kept'],
      )
    })

    test('pages, up and down, show each row once, also with filters', async () => {
      const all = await listAudit(db, { limit: 1_000 })
      const filter = { userName: 'eva', act: ['task-stop', 'kept'] }
      for (const given of [{}, filter]) {
        const wanted = all
          .filter(row => (given === filter ? row.userName === 'eva' && filter.act.includes(row.act) : true))
          .map(({ id }) => id)
        const down: number[] = []
        for (let page = await listAudit(db, { ...given, limit: 7 }); page.length > 0; ) {
          down.push(...page.map(({ id }) => id))
          page = await listAudit(db, { ...given, limit: 7, before: page.at(-1)!.id })
        }
        assert.deepEqual(down, wanted)
        const up: number[] = []
        for (let page = await listAudit(db, { ...given, limit: 7, after: 0 }); page.length > 0; ) {
          up.unshift(...page.map(({ id }) => id))
          page = await listAudit(db, { ...given, limit: 7, after: page[0]!.id })
        }
        assert.deepEqual(up, wanted)
      }
    })

    test('a span of time holds rows whose host had a wrong clock, and needs no other rows', async () => {
      const minute = 60_000
      const at = Date.UTC(2026, 0, 1)
      for (const offset of [0, 10 * minute, 10.4 * minute, 9.9 * minute, 10.6 * minute, 10.1 * minute, 30 * minute]) {
        await appendAudit(db, entry({ at: at + offset, act: 'timed' }))
      }
      const found = await listAudit(db, { limit: 10, since: at + 10 * minute, until: at + 10.5 * minute })
      assert.deepEqual(
        found.map(row => (row.at - at) / minute),
        [10.1, 10.4, 10],
      )
      assert.deepEqual(await listAudit(db, { limit: 10, since: at + 40 * minute }), [])
      assert.deepEqual(
        await listAudit(db, { limit: 10, until: 1 }),
        (await listAudit(db, { limit: 1_000 })).filter(row => row.at < 1).slice(0, 10),
      )
    })

    test('whether it can be written is tried without a trace', async () => {
      const before = await checkAuditChain(db)
      await tryAudit(db)
      assert.deepEqual(await checkAuditChain(db), before)
      await tamper('ALTER TABLE bg_audit RENAME TO bg_audit_away')
      await assert.rejects(tryAudit(db))
      await tamper('ALTER TABLE bg_audit_away RENAME TO bg_audit')
    })

    test('pruned from its beginning, the rest is still proven', async () => {
      const db = await freshDb(dialect)
      for (let at = 0; at < 40; at++) await appendAudit(db, entry({ at }))
      const { rows } = await checkAuditChain(db)
      assert.equal(await oldestAuditAt(db), 0)
      assert.equal(await pruneAudit(db, { before: 10, most: 4 }), 4)
      assert.equal(await pruneAudit(db, { before: 10, most: 1_000 }), 6)
      assert.equal(await pruneAudit(db, { before: 10, most: 1_000 }), 0)
      assert.equal(await oldestAuditAt(db), 10)
      const after = await checkAuditChain(db)
      assert.deepEqual([after.rows, after.broken], [rows - 10 + 2, null])
      const told = await listAudit(db, { limit: 2 })
      assert.deepEqual(
        told.map(({ act, via, userName, subject, detail }) => [act, via, userName, subject, detail]),
        [
          ['audit-pruned', 'supervisor', null, '6', 'up to row 10'],
          ['audit-pruned', 'supervisor', null, '4', 'up to row 4'],
        ],
      )
    })

    test('what is pruned while the chain is read is not missing', async () => {
      const [checked] = await Promise.all([checkAuditChain(db), pruneAudit(db, { before: 2_000, most: 12 })])
      assert.equal(checked.broken, null)
      assert.equal((await checkAuditChain(db)).broken, null)
    })

    test('a changed, a removed and a cut off row are found', async () => {
      const broken = async () => (await checkAuditChain(db)).broken
      const { rows } = await checkAuditChain(db)
      assert.deepEqual((await checkAuditChain(db, { newest: 5 })).rows, 5)
      // Who was quicker in the race above is in row 20.
      const { userName } = (await listAudit(db, { limit: 1_000 })).find(({ id }) => id === 20)!
      await tamper("UPDATE bg_audit SET user_name = 'adam' WHERE id = 20")
      assert.deepEqual(await broken(), { id: 20, why: 'changed' })
      assert.equal((await checkAuditChain(db, { newest: 5 })).broken, null)
      assert.deepEqual((await checkAuditChain(db, { newest: rows + 5 })).broken, { id: 20, why: 'changed' })
      await tamper(`UPDATE bg_audit SET user_name = ${userName === null ? 'NULL' : `'${userName}'`} WHERE id = 20`)
      assert.equal(await broken(), null)
      const newest = (await listAudit(db, { limit: 1 }))[0]!.id
      for (const beside of [1, newest + 1]) {
        await tamper(`INSERT INTO bg_audit (id, at, via, act, hash) VALUES (${beside}, 1, 'form', 'login', 'x')`)
        assert.deepEqual(await broken(), { id: beside, why: 'extra' })
        await tamper(`DELETE FROM bg_audit WHERE id = ${beside}`)
      }
      await tamper(`DELETE FROM bg_audit WHERE id = ${newest}`)
      assert.deepEqual(await broken(), { id: newest, why: 'missing' })
      await tamper('DELETE FROM bg_audit WHERE id = 25')
      assert.deepEqual(await broken(), { id: 25, why: 'missing' })
    })
  })
}
