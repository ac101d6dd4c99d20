import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { CompiledQuery } from 'kysely'
import { claimTask } from '../../app/store/claim-task.ts'
import { type Db, isAway, openDatabase } from '../../app/store/database.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { listDue } from '../../app/store/list-due.ts'
import { migrate } from '../../app/store/migrate.ts'
import { type MariaDb, startMariaDb } from '../helpers/mariadb.ts'
import { mariadbMissing } from '../helpers/tools.ts'
import { dialects, freshDb, reopen } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const limitMs = 1_500

describe('a MariaDB that goes away', { skip: mariadbMissing(), timeout: 120_000 }, () => {
  let server: MariaDb
  let db: Db
  before(async () => {
    server = await startMariaDb()
    db = await openDatabase(await server.newDatabase(), { statementTimeoutMs: limitMs })
    await migrate(db)
  })
  after(async () => {
    await db.close()
    await server.stop()
  })
  /** That the work fails, in time, with an error that says "away". */
  const away = async (work: () => Promise<unknown>, withinMs: number) => {
    const beganAt = performance.now()
    await assert.rejects(work(), error => {
      assert.ok(isAway(error), `not away: ${error}`)
      return true
    })
    const tookMs = performance.now() - beganAt
    assert.ok(tookMs < withinMs, `took ${Math.round(tookMs)} ms`)
  }
  const everything = [() => insertTasks(db, [newTask()]), () => insertTasks(db, [newTask({ uniqueKey: 'k' })]), () => listDue(db, 5)]

  test('killed: an error at once; back: all goes on without a step by hand', async () => {
    await insertTasks(db, [newTask()])
    await server.kill()
    for (const work of everything) await away(work, limitMs)
    await server.restart()
    const [added] = await insertTasks(db, [newTask()])
    assert.equal((await findTask(db, added!.task.id))?.uid, added!.task.uid)
  })

  test('restarted while nothing was asked: nobody notices', async () => {
    await Promise.all([1, 2, 3, 4].map(() => listDue(db, 5)))
    await server.restart()
    for (let n = 0; n < 6; n++) await insertTasks(db, [newTask()])
  })

  test('stopped by SIGSTOP: each statement ends within the limit, those that wait for a connection as well', async () => {
    await server.pause()
    try {
      for (const work of everything) await away(work, limitMs * 2 + 500)
      await Promise.all(Array.from({ length: 12 }, () => away(() => listDue(db, 5), limitMs * 2 + 500)))
    } finally {
      server.resume()
    }
    assert.ok(Array.isArray(await listDue(db, 5)))
  })

  test('stopped within a transaction: it ends within the limit, and nothing of it is kept', async () => {
    await away(
      () =>
        db.kysely.transaction().execute(async trx => {
          await insertTasks(db, [newTask({ type: 'halted' })], { trx })
          await server.pause()
          await insertTasks(db, [newTask({ type: 'halted' })], { trx })
        }),
      limitMs * 2,
    )
    server.resume()
    await insertTasks(db, [newTask()])
    assert.deepEqual(await db.kysely.selectFrom('bg_task').select('id').where('type', '=', 'halted').execute(), [])
  })

  test('read-only: writes say so, reads go on', async () => {
    await server.setReadOnly(true)
    await away(() => insertTasks(db, [newTask()]), limitMs)
    assert.ok((await listDue(db, 5)).length > 0)
    await server.setReadOnly(false)
    await insertTasks(db, [newTask()])
  })

  test('a row locked by somebody else: an error within the limit, then it goes on', async () => {
    const [added] = await insertTasks(db, [newTask()])
    const other = await openDatabase(db.url)
    try {
      await other.kysely.transaction().execute(async trx => {
        await trx.selectFrom('bg_task').select('id').where('id', '=', added!.task.id).forUpdate().execute()
        await away(() => claimTask(db, added!.task, owner, 1), 12_000)
      })
      assert.equal((await claimTask(db, added!.task, owner, 1))?.number, 1)
    } finally {
      await other.close()
    }
  })

  test('killed at any moment of adding: what was acknowledged is there, and nothing is there twice', async () => {
    const acknowledged: string[] = []
    for (let round = 0; round < 4; round++) {
      let going = true
      const writers = Array.from({ length: 3 }, async (_, writer) => {
        for (let n = 0; going; n++) {
          const key = `${round}-${writer}-${n}`
          await insertTasks(db, [newTask({ uniqueKey: key })]).then(
            () => acknowledged.push(key),
            (error: unknown) => assert.ok(isAway(error), `not away: ${error}`),
          )
        }
      })
      await new Promise(resolve => setTimeout(resolve, 50 + Math.random() * 100))
      await server.kill()
      going = false
      await Promise.all(writers)
      await server.restart()
    }
    const rows = await db.kysely.selectFrom('bg_task').select('unique_key').where('unique_key', 'is not', null).execute()
    const stored = rows.map(row => row.unique_key!)
    assert.equal(new Set(stored).size, stored.length)
    assert.deepEqual(
      acknowledged.filter(key => !stored.includes(key)),
      [],
    )
    assert.ok(acknowledged.length > 20)
  })

  test('a connection killed by the server while it works: tried again by itself', async () => {
    const admin = await openDatabase(server.url.replace(/\/[^/]*$/, new URL(db.url).pathname))
    const before = await count(admin)
    let going = true
    const killer = (async () => {
      while (going) {
        const { rows } = await admin.kysely.executeQuery<{ ID: number }>(
          CompiledQuery.raw('SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID() LIMIT 1'),
        )
        for (const { ID } of rows) await admin.kysely.executeQuery(CompiledQuery.raw(`KILL CONNECTION ${ID}`)).catch(() => undefined)
        await new Promise(resolve => setTimeout(resolve, 100))
      }
    })()
    for (let n = 0; n < 200; n++) await insertTasks(db, [newTask()])
    going = false
    await killer
    assert.equal(await count(admin), before + 200)
    await admin.close()
  })

  test('close() does not wait for a server that is stopped', async () => {
    const other = await openDatabase(db.url, { statementTimeoutMs: limitMs })
    await server.pause()
    const beganAt = performance.now()
    await other.close()
    server.resume()
    assert.ok(performance.now() - beganAt < 2_000)
  })
})

describe('an SQLite file that is in use', () => {
  test('a writer waits for another one; one that holds it for long is told as away', { timeout: 60_000 }, async () => {
    const db = await freshDb(dialects[0]!)
    const other = await reopen(db.url)
    await other.kysely.transaction().execute(async trx => {
      await trx.updateTable('bg_task').set({ number: 1 }).execute()
      assert.deepEqual(await listDue(db, 5), []) // readers do not wait
      await assert.rejects(insertTasks(db, [newTask()]), error => isAway(error))
      assert.equal((await insertTasks(other, [newTask()], { trx })).length, 1)
    })
    const holds = other.kysely.transaction().execute(async trx => {
      await trx.updateTable('bg_task').set({ number: 1 }).execute()
      await new Promise(resolve => setTimeout(resolve, 300))
    })
    assert.equal((await insertTasks(db, [newTask()]))[0]?.added, true)
    await holds
  })
})

describe('an SQLite file that takes no more', () => {
  const pragma = async (db: Db, text: string) =>
    (await db.kysely.executeQuery<Record<string, number>>(CompiledQuery.raw(`PRAGMA ${text}`))).rows[0]
  const long = () => insertTasks(db, [newTask({ params: 'x'.repeat(60_000) }), newTask({ uniqueKey: 'k', onConflict: 'replace' })])
  let db: Db
  before(async () => {
    db = await freshDb(dialects[0]!)
  })

  test('full: told as away, nothing is kept by halves, and room helps', async () => {
    const { page_count } = (await pragma(db, 'page_count'))!
    await pragma(db, `max_page_count = ${page_count}`)
    await assert.rejects(long(), error => isAway(error) && /full/.test(String(error)))
    assert.equal(await count(db), 0)
    await pragma(db, 'max_page_count = 1000000')
    assert.equal((await long()).length, 2)
  })

  test('read-only: told as away', async () => {
    await pragma(db, 'query_only = 1')
    await assert.rejects(long(), error => isAway(error))
    await pragma(db, 'query_only = 0')
    assert.equal((await long()).length, 2)
  })
})

test('a mistake in a statement is no outage', async () => {
  const db = await freshDb(dialects[0]!)
  await assert.rejects(db.kysely.executeQuery(CompiledQuery.raw('SELECT nothing FROM nowhere')), error => !isAway(error))
  assert.equal(isAway(new Error('something else')), false)
  assert.equal(isAway('text'), false)
})

const count = async (db: Db): Promise<number> => (await db.kysely.selectFrom('bg_task').select('id').execute()).length
