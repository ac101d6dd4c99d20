import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { CompiledQuery } from 'kysely'
import { type Actor, audited } from '../../app/api/audited.ts'
import { reloadAudited, startAudited, stopAudited } from '../../app/api/audited-loop.ts'
import type { Background } from '../../app/api/background.ts'
import { cancelTask } from '../../app/api/control.ts'
import { BgtaskError } from '../../app/errors.ts'
import { readHold } from '../../app/runs/flags.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { checkAuditChain, listAudit } from '../../app/store/audit.ts'
import { isAway, openDatabase } from '../../app/store/database.ts'
import { type MariaDb, startMariaDb } from '../helpers/mariadb.ts'
import { mariadbMissing } from '../helpers/tools.ts'
import { databases, openScene, waitFor } from './scene.ts'

const eva: Actor = { name: 'eva', ip: '10.0.0.1', via: 'form' }

for (const database of databases) {
  describe(`acts and their rows on ${database.name}`, () => {
    const cleaners: (() => unknown)[] = []
    const t = { after: (fn: () => unknown) => void cleaners.unshift(fn) } as Parameters<typeof openScene>[0]
    let background: Background
    before(async () => {
      const url = await database.url()
      background = (await openScene(t, url ? { databaseUrl: url } : {})).background
    })
    after(async () => {
      for (const clean of cleaners) await clean()
    })
    const rows = async () => (await listAudit(background.db, { limit: 1_000 })).map(({ act, subject, detail }) => [act, subject, detail])
    const newest = async () => (await rows())[0]
    const later = { delayMs: 3_600_000 }
    const add = (options: object = {}) =>
      background.storeTasks([{ action: 'test/plain', options: { ...later, ...options } }], { by: 'eva', actor: eva })

    test('a row before the act; a second one when it fails, with what it failed by', async () => {
      const seen: unknown[] = []
      assert.equal(
        await audited(background.db, eva, { act: 'task-stop', subject: '1' }, async () => {
          seen.push(await newest())
          return 7
        }),
        7,
      )
      assert.deepEqual(seen, [['task-stop', '1', null]])
      const failure = new BgtaskError('busy', 'It is not possible now.')
      await assert.rejects(
        audited(background.db, eva, { act: 'task-run', subject: '1', detail: 'x' }, async () => {
          throw failure
        }),
        error => error === failure,
      )
      assert.deepEqual((await rows()).slice(0, 2), [
        ['task-run-failed', '1', 'It is not possible now.'],
        ['task-run', '1', 'x'],
      ])
    })

    test('many who add at once, with and without keys: each has its row, none is without, the chain is whole', async () => {
      const before = (await rows()).length
      const stored = (
        await Promise.all(Array.from({ length: 40 }, (_, n) => add(n % 2 ? { unique: `key ${n % 8}`, onConflict: 'replace' } : {})))
      ).flat()
      const told = (await rows()).slice(0, -before)
      assert.equal(told.length, 40)
      assert.deepEqual(new Set(told.map(([, subject]) => subject)), new Set(stored.map(({ task }) => String(task.id))))
      assert.ok(told.every(([act]) => act === 'task-added'))
      assert.ok(told.some(([, , detail]) => /^test\/plain, replacing task \d+$/.test(String(detail))))
      assert.equal((await checkAuditChain(background.db)).broken, null)
    })

    test('several at once have one row; what is kept or refused has none', async () => {
      const before = (await rows()).length
      const several = await background.storeTasks(
        Array.from({ length: 1_500 }, () => ({ action: 'test/plain', options: later })),
        { actor: eva },
      )
      const ids = several.map(({ task }) => task.id)
      assert.deepEqual(await newest(), ['tasks-added', '1500', `test/plain; ids ${Math.min(...ids)} to ${Math.max(...ids)}`])
      await add({ unique: 'once' })
      assert.equal((await rows()).length, before + 2)
      await add({ unique: 'once', onConflict: 'keep' })
      await assert.rejects(add({ unique: 'once', onConflict: 'reject' }))
      await assert.rejects(add({ priority: 'high' }))
      await background.addTask('test/plain', {}, later)
      await background.storeTasks([{ action: 'test/plain', options: later }], { by: 'somebody' })
      assert.deepEqual(await background.storeTasks([], { actor: eva }), [])
      assert.equal((await rows()).length, before + 2)
    })

    test('a transaction of the application is no act of a person', async () => {
      await background.db.kysely.transaction().execute(async trx => {
        await assert.rejects(add({ trx }), /the application’s own/)
      })
    })

    test('stopping what does not run, and reloading it, leave no row', async () => {
      const before = await rows()
      assert.equal((await stopAudited(background, eva)).asked, false)
      assert.equal((await reloadAudited(background, eva)).asked, false)
      assert.deepEqual(await rows(), before)
    })
  })
}

describe('a MariaDB that can only be read, or breaks', { skip: mariadbMissing(), timeout: 120_000 }, () => {
  const cleaners: (() => unknown)[] = []
  let server: MariaDb
  let background: Background
  before(async () => {
    server = await startMariaDb()
    const t = { after: (fn: () => unknown) => void cleaners.unshift(fn) } as Parameters<typeof openScene>[0]
    background = (await openScene(t, { databaseUrl: await server.newDatabase() })).background
  })
  after(async () => {
    for (const clean of cleaners) await clean()
    await server.stop()
  })

  test('read-only: nothing is done', async () => {
    const { id } = await background.addTask('test/plain', {}, { delayMs: 3_600_000 })
    await server.setReadOnly(true)
    try {
      for (const act of [
        () => startAudited(background, eva),
        () => startAudited(background, eva, { releaseHold: true }),
        () => stopAudited(background, eva, { hold: true }),
        () => audited(background.db, eva, { act: 'task-cancellation' }, () => cancelTask(background, id, 'eva')),
        () => background.storeTasks([{ action: 'test/plain' }], { actor: eva }),
      ]) {
        await assert.rejects(act(), isAway)
      }
    } finally {
      await server.setReadOnly(false)
    }
    const { runtime } = background.config
    assert.deepEqual([readSupervisor(runtime), readHold(runtime)], [null, null])
    assert.deepEqual(await background.db.kysely.selectFrom('bg_task').select('state').execute(), [{ state: 'waiting' }])
    assert.deepEqual(await listAudit(background.db, { limit: 10 }), [])
  })

  test('killed at any moment of adding: each task that is there has exactly one row, each row its task', async () => {
    for (let round = 0; round < 3; round++) {
      let going = true
      let added = 0
      const writers = Array.from({ length: 3 }, async (_, writer) => {
        for (let n = 0; going; n++) {
          const wish = { action: 'test/plain', options: { delayMs: 3_600_000, ...(n % 2 ? { unique: `${round}-${writer}-${n}` } : {}) } }
          try {
            await background.storeTasks([wish], { actor: eva })
            added++
          } catch (error) {
            if (!isAway(error)) throw error
          }
        }
      })
      await waitFor('some are added', () => added >= 10)
      await new Promise(resolve => setTimeout(resolve, Math.random() * 200))
      await server.kill()
      going = false
      await Promise.all(writers)
      await server.restart()
    }
    const told = (await listAudit(background.db, { limit: 100_000, act: 'task-added' })).map(({ subject }) => Number(subject))
    const there = await background.db.kysely.selectFrom('bg_task').select('id').orderBy('id').execute()
    assert.ok(there.length > 20, String(there.length))
    assert.deepEqual(
      told.sort((a, b) => a - b),
      there.map(({ id }) => Number(id)).slice(1),
    )
    assert.equal((await checkAuditChain(background.db)).broken, null)
  })

  test('a connection that breaks at the commit: tried again, and told once', async () => {
    const count = async () => (await listAudit(background.db, { limit: 100_000, act: 'task-added' })).length
    const before = await count()
    const admin = await openDatabase(background.db.url)
    let going = true
    const killer = (async () => {
      while (going) {
        const { rows } = await admin.kysely.executeQuery<{ ID: number }>(
          CompiledQuery.raw('SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID() LIMIT 1'),
        )
        for (const { ID } of rows) await admin.kysely.executeQuery(CompiledQuery.raw(`KILL CONNECTION ${ID}`)).catch(() => undefined)
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    })()
    const stored = []
    for (let n = 0; n < 150; n++) {
      stored.push(...(await background.storeTasks([{ action: 'test/plain', options: { delayMs: 3_600_000 } }], { actor: eva })))
    }
    going = false
    await killer
    await admin.close()
    assert.equal(new Set(stored.map(({ task }) => task.id)).size, 150)
    assert.equal((await count()) - before, 150)
  })
})
