import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CompiledQuery } from 'kysely'
import { claimTask } from '../../app/store/claim-task.ts'
import type { Db } from '../../app/store/database.ts'
import { listErrors } from '../../app/store/errors.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { migrate, migrations } from '../../app/store/migrate.ts'
import { countFailed, retryFailed } from '../../app/store/recover.ts'
import { heldKey } from '../../app/store/rows.ts'
import type { Tables } from '../../app/store/tables.ts'
import { dialects, reopen } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const now = 1_700_000_000_000

for (const dialect of dialects) {
  describe(`a database of an older version in ${dialect.name}`, { skip: dialect.skip }, () => {
    for (const [index, { name }] of migrations.slice(0, -1).entries()) {
      test(`made by ${name}: nothing is lost, and it is used on`, async () => {
        const db = await reopen(await dialect.newUrl())
        await migrate(db, migrations.slice(0, index + 1))
        await fill(db)
        const before = await everyRow(db)
        assert.deepEqual(
          await migrate(db),
          migrations.slice(index + 1).map(migration => migration.name),
        )

        const after = await everyRow(db)
        for (const [table, rows] of before) {
          if (table === 'bg_migration' || table === 'bg_error') continue
          const kept = after
            .get(table)!
            .map((row, n) => Object.fromEntries(Object.keys(rows[n] ?? {}).map(column => [column, row[column]])))
          // By which error a task failed is what the last migration looks up.
          for (const row of [...rows, ...kept]) if (table === 'bg_task') delete row.error_key
          assert.deepEqual(kept, rows, table)
        }

        // Later versions count each failure when it happens, and these rows were put there by hand.
        if (index < countsEarlier) await failuresAreCounted(db)

        const [next] = await insertTasks(db, [newTask({ uniqueKey: 'export', onConflict: 'replace' })], { now })
        assert.equal(next!.replaced, 1)
        assert.deepEqual([(await findTask(db, 1))!.state, (await findTask(db, 1))!.reason!.code], ['cancelled', 'replaced'])
        assert.ok(await claimTask(db, next!.task, owner, now))
      })
    }

    test('many that failed: each is counted once, also when its migration died half way', async () => {
      const db = await reopen(await dialect.newUrl())
      await migrate(db, migrations.slice(0, 1))
      const rows = Array.from({ length: 450 }, (_, n) =>
        task({ uid: `u${n}`, state: 'failed', content: `order ${n}`, finished_at: now + n }),
      )
      await db.kysely
        .insertInto('bg_task')
        .values(rows as never)
        .execute()
      await migrate(db)
      await db.kysely.deleteFrom('bg_migration').where('name', '=', '0012-earlier-failures').execute()
      await migrate(db)
      assert.deepEqual(
        (await listErrors(db, { limit: 10 })).map(({ count, firstAt, lastAt }) => [count, firstAt, lastAt]),
        [[450, now, now + 449]],
      )
    })
  })
}

const countsEarlier = migrations.findIndex(({ name }) => name === '0012-earlier-failures')

const failuresAreCounted = async (db: Db) => {
  const errors = await listErrors(db, { limit: 10 })
  assert.deepEqual(
    errors.map(({ action, sample, count, firstAt, lastAt, lastTask }) => ({ action, sample, count, firstAt, lastAt, lastTask })),
    [
      { action: 'demo/once', sample: 'no output folder', count: 1, firstAt: now + 5, lastAt: now + 5, lastTask: 5 },
      { action: 'demo/once', sample: 'order 18 has no lines', count: 2, firstAt: now + 3, lastAt: now + 4, lastTask: 4 },
    ],
  )
  assert.deepEqual(await countFailed(db, { error: errors[1]!.key }, { failedBefore: now + 9 }), {
    count: 2,
    isAll: true,
    first: [3, 4],
  })
  assert.deepEqual(await retryFailed(db, [3], { by: 'kim', now: now + 9, failedBefore: now + 9 }), { retried: 1, held: 0 })
  assert.equal((await listErrors(db, { limit: 10 }))[1]!.count, 1)
}

/** What the first version wrote; its columns alone. */
const fill = async (db: Db) => {
  const failed = { state: 'failed', number: 1, crash_count: 0 }
  await insert(db, 'bg_task', [
    task({ uid: 'waiting', unique_key: 'export', held_key: heldKey('export'), due: 'now', type: 'system', creator: 'kim' }),
    task({ uid: 'loop', exec_type: 'FOREVER', state: 'running', number: 4, host: 'host-1', epoch: 'epoch-1' }),
    task({ uid: 'failed-1', ...failed, content: 'order 17 has no lines', finished_at: now + 3 }),
    task({ uid: 'failed-2', ...failed, content: 'order 18 has no lines', finished_at: now + 4 }),
    task({ uid: 'failed-3', ...failed, content: null, finished_at: now + 5 }),
    task({ uid: 'done', state: 'succeeded', number: 1, content: '/exports/数据.csv', finished_at: now + 6 }),
  ])
  const run = { number: 1, host: 'host-1', epoch: 'epoch-1', started_at: now, attempt: 1, adopted: 0, recycled: 0 }
  await insert(db, 'bg_run', [
    { ...run, task_id: 2, number: 4, pid: 77 },
    { ...run, task_id: 3, outcome: 'failed', content: 'order 17 has no lines', ended_at: now + 3, exit_code: 1 },
    { ...run, task_id: 5, outcome: 'failed', error: 'no output folder\n    at build', ended_at: now + 5, exit_code: 1 },
    { ...run, task_id: 6, outcome: 'succeeded', ended_at: now + 6, exit_code: 0 },
  ])
  await insert(db, 'bg_user', [{ name: 'kim', password_hash: 'x', role: 'admin', created_at: now, password_changed_at: now }])
  await insert(db, 'bg_token', [{ name: 'shop', token_hash: 'y', scopes: '["task:read"]', created_by: 'kim', created_at: now }])
  await insert(db, 'bg_audit', [{ id: 1, at: now, user_name: 'kim', via: 'web', act: 'task.add', subject: '1', hash: 'z' }])
}

const task = (more: Record<string, unknown>) => ({
  action: 'demo/once',
  params: '{"rows":1000}',
  exec_type: 'ONCE',
  type: '',
  creator: '',
  state: 'waiting',
  wanted: 'up',
  run_at: now,
  grace_ms: 10_000,
  created_at: now,
  updated_at: now,
  ...more,
})

const insert = async (db: Db, table: keyof Tables, rows: Record<string, unknown>[]) => {
  for (const row of rows)
    await db.kysely
      .insertInto(table)
      .values(row as never)
      .execute()
}

/** Of each table that is there. */
const everyRow = async (db: Db) => {
  const listed =
    db.dialect === 'sqlite'
      ? "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'bg%' ORDER BY name"
      : 'SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME'
  const read = async (text: string) =>
    (await db.kysely.executeQuery<Record<string, unknown>>(CompiledQuery.raw(text))).rows.map(row => ({ ...row }))
  const tables = new Map<string, Record<string, unknown>[]>()
  for (const { name } of await read(listed)) tables.set(String(name), await read(`SELECT * FROM ${name} ORDER BY 1`))
  return tables
}
