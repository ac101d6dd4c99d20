import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { BgtaskError } from '../../app/errors.ts'
import { isAway, openDatabase } from '../../app/store/database.ts'
import { migrate, migrations } from '../../app/store/migrate.ts'
import { dialects, freshDb, reopen } from './dialects.ts'
import { race } from './race.ts'

const names = migrations.map(migration => migration.name)

for (const dialect of dialects) {
  describe(`migrations of ${dialect.name}`, { skip: dialect.skip }, () => {
    test('are applied once, in order', async () => {
      const db = await reopen(await dialect.newUrl())
      assert.deepEqual(await migrate(db), names)
      assert.deepEqual(await migrate(db), [])
      assert.deepEqual(names, [...names].sort())
      for (const name of names) assert.match(name, /^\d{4}-[a-z-]+$/)
    })

    test('six processes at once: each migration is applied by one of them, and all find the tables', async () => {
      const url = await dialect.newUrl()
      const applied = await Promise.all([1, 2, 3, 4, 5, 6].map(n => race<string[]>(url, 'migrate', String(n))))
      assert.deepEqual(applied.flat().sort(), names)
      assert.deepEqual(await migrate(await reopen(url)), [])
    })

    test('a database that is newer than the code is refused', async () => {
      const db = await freshDb(dialect)
      await db.kysely.insertInto('bg_migration').values({ name: '9999-from-the-future', started_at: 1, applied_at: 1 }).execute()
      await assert.rejects(migrate(db), (error: BgtaskError) => {
        assert.equal(error.code, 'misconfigured')
        assert.match(error.message, /newer than this version.*9999-from-the-future.*Install the newer version/)
        assert.doesNotMatch(error.message, /:[^*]+@/)
        return true
      })
    })
  })
}

describe('a half-done migration', { skip: dialects[1]!.skip }, () => {
  test('is finished by another process when its own has died', { timeout: 60_000 }, async () => {
    const db = await freshDb(dialects[1]!)
    await db.kysely.updateTable('bg_migration').set({ applied_at: null }).where('name', '=', names[0]!).execute()
    await db.kysely.schema.dropTable('bg_audit').execute()
    assert.deepEqual(await migrate(db), [names[0]])
    assert.deepEqual(await db.kysely.selectFrom('bg_audit').selectAll().execute(), [])
    assert.deepEqual(await migrate(db), [])
  })
})

describe('a database that cannot be opened', () => {
  const refused = async (url: string, expected: RegExp) =>
    assert.rejects(openDatabase(url, { statementTimeoutMs: 1_000 }), (error: BgtaskError) => {
      assert.equal(error.code, 'database-away')
      assert.ok(isAway(error))
      assert.match(error.message, expected)
      assert.doesNotMatch(error.message, /secret|\n/)
      return true
    })

  test('nobody listens', () =>
    refused(
      'mysql://eva:secret@127.0.0.1:1/x',
      /mysql:\/\/eva:\*\*\*\*@127\.0\.0\.1:1\/x cannot be reached: nothing listens there\. Start the server/,
    ))
  test('no such host', () => refused('mysql://eva:secret@no-such-host.invalid/x', /cannot be reached/))
  test('no such folder', () =>
    refused('sqlite:/no/such/folder/x.sqlite', /\/no\/such\/folder\/x\.sqlite cannot be opened.*Make its folder/))
  test('no database', () => refused(`sqlite:${import.meta.filename}`, /cannot be opened: file is not a database.*See that the file/))
  test('no login, no such database', { skip: dialects[1]!.skip }, async () => {
    const url = await dialects[1]!.newUrl()
    await refused(url.replace(/:[^:/@]+@/, ':secret@'), /refuses the login .*\*\*\*\*@/)
    await refused(`${url}_none`, /has no database bgtask_\w+_none .*CREATE DATABASE|refuses the login/)
  })
  test('the file of SQLite is for its user alone', async () => {
    const db = await freshDb(dialects[0]!)
    for (const ending of ['', '-wal', '-shm']) assert.equal(statSync(db.url.slice('sqlite:'.length) + ending).mode & 0o777, 0o600)
  })
})
