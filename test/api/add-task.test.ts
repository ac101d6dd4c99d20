import loose from 'node:assert'
import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { CamelCasePlugin, type Kysely } from 'kysely'
import type { Background } from '../../app/api/background.ts'
import { openBackground } from '../../app/api/background.ts'
import { BgtaskError } from '../../app/errors.ts'
import { prepareRuntimeFolder, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { openDatabase } from '../../app/store/database.ts'
import { findTask } from '../../app/store/find-task.ts'
import { databases, makeScene, openScene, plainAction, type Scene, strictAction } from './scene.ts'

const codeIs = (code: BgtaskError['code'], sentence?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof BgtaskError, String(error))
  assert.equal(error.code, code)
  if (sentence) assert.match(error.message, sentence)
  return true
}

for (const database of databases) {
  describe(`addTask on ${database.name}`, () => {
    const cleaners: (() => unknown)[] = []
    const t = { after: (fn: () => unknown) => void cleaners.unshift(fn) } as Parameters<typeof makeScene>[0]
    let scene: Scene
    let background: Background
    const count = async () =>
      Number(
        (
          await background.db.kysely
            .selectFrom('bg_task')
            .select(eb => eb.fn.countAll().as('n'))
            .executeTakeFirstOrThrow()
        ).n,
      )

    before(async () => {
      const url = await database.url()
      const actions = { 'test/plain': plainAction, 'test/strict': strictAction, 'test/broken': 'throw new Error("no key is set")\n' }
      ;({ background, ...scene } = await openScene(t, { actions, ...(url ? { databaseUrl: url } : {}) }))
    })
    after(async () => {
      for (const clean of cleaners) await clean()
    })

    test('what was given is stored', async () => {
      const runAt = Date.now() + 3_600_000
      const params = { n: 1, s: '好😀"\'\\%_', deep: [{ a: [null, true, 1e300, -1.5] }], '': 0, long: 'x'.repeat(60_000) }
      const options = {
        type: 'export',
        creator: 'kim',
        runAt,
        priority: -5,
        maxAttempts: 4,
        timeoutMs: 9000,
        graceMs: 0,
        rerunAfterCrash: false,
        unique: 'k',
      }
      const task = await background.addTask('test/plain', params, options)
      assert.deepEqual(task, await findTask(background.db, task.id))
      assert.deepEqual(task.params, params)
      const { unique, ...others } = options
      assert.deepEqual({ ...task, ...others, uniqueKey: unique, state: 'waiting', wanted: 'up', execType: 'ONCE' }, task)
      assert.match(task.uid, /^[a-z0-9]{16}$/)
      const loop = await background.addTask('test/plain', undefined, 'FOREVER')
      assert.deepEqual([loop.execType, loop.state, loop.wanted, loop.params], ['FOREVER', 'stopped', 'up', {}])
    })

    test('what is refused says why, and stores nothing', async () => {
      const had = await count()
      const tries: [unknown[], RegExp][] = [
        [['test/plian'], /There is no action "test\/plian"; did you mean test\/plain\?/],
        [['nothing/like-that-at-all'], /There is no action .* There are test\//],
        [['../etc/passwd'], /There is no action/],
        [['x'.repeat(129)], /^action is 129 characters long/],
        [[7], /^action is 7; it must be text/],
        [['a/\0'], /^action has a NUL/],
        [['test/broken'], /test\/broken cannot be run, since .*broken\.ts does not load: .*no key is set/],
        [['test/strict', {}], /do not fit test\/strict: .*rows/],
        [['test/strict', { rows: 0.5 }], /do not fit test\/strict: rows/],
        [['test/strict', { rows: 1, colour: 'red' }], /do not fit test\/strict/],
        [['test/plain', { at: new Date() }], /^params\.at is an instance of Date/],
        [['test/plain', {}, 'SOMETIMES'], /^execType is "SOMETIMES"/],
        [['test/plain', {}, { runAt: '2026-02-30T00:00Z' }], /^runAt is/],
      ]
      for (const [args, sentence] of tries) {
        await assert.rejects(background.addTask(...(args as Parameters<Background['addTask']>)), codeIs('refused', sentence))
      }
      await assert.rejects(
        background.addTasks([{ action: 'test/plain' }, { action: 'test/strict', params: { rows: 'x' } }]),
        codeIs('refused', /^Task 2 of the list: The params do not fit .* None of them is stored\./),
      )
      await assert.rejects(
        background.addTasks([{ action: 'test/plain', parms: 1 } as never]),
        codeIs('refused', /"parms" stands beside the action/),
      )
      await assert.rejects(background.addTasks('x' as never), codeIs('refused', /must be an array/))
      assert.equal(await count(), had)
    })

    test('a unique key: kept, replaced, rejected', async () => {
      const first = await background.addTask('test/plain', { n: 1 }, { unique: 'key' })
      const [kept] = await background.storeTasks([{ action: 'test/plain', params: { n: 2 }, options: { unique: 'key' } }])
      assert.deepEqual([kept!.task.id, kept!.added], [first.id, false])
      await assert.rejects(background.addTask('test/plain', {}, { unique: 'key', onConflict: 'reject' }), codeIs('conflict'))
      const [replacing] = await background.storeTasks([{ action: 'test/plain', options: { unique: 'key', onConflict: 'replace' } }])
      assert.equal(replacing!.replaced, first.id)
      assert.equal((await findTask(background.db, first.id))!.state, 'cancelled')
      const twenty = await Promise.all(Array.from({ length: 20 }, (_, n) => background.addTask('test/plain', { n }, { unique: 'rush' })))
      assert.equal(new Set(twenty.map(task => task.id)).size, 1)
    })

    test('many at once, in the order given', async () => {
      const had = await count()
      const tasks = await background.addTasks(
        Array.from({ length: 2500 }, (_, n) => ({ action: 'test/plain', params: { n }, options: { type: 'many' } })),
      )
      assert.deepEqual(
        tasks.map(task => task.params),
        Array.from({ length: 2500 }, (_, n) => ({ n })),
      )
      assert.equal(new Set(tasks.map(task => task.id)).size, 2500)
      assert.equal(await count(), had + 2500)
      assert.deepEqual(await background.addTasks([]), [])
      const large = await background.addTasks(Array.from({ length: 400 }, () => ({ action: 'test/plain', params: 'y'.repeat(60_000) })))
      assert.equal(large.length, 400)
    })

    test('the supervisor is rung after the commit, and not when nothing was added', async () => {
      const rung = () => statSync(runtimePaths(scene.config.runtime).wake, { throwIfNoEntry: false })?.mtimeMs ?? 0
      // Where a supervisor is, there is its folder.
      prepareRuntimeFolder(scene.config.runtime)
      await background.addTask('test/plain', {}, { unique: 'bell' })
      const before = rung()
      assert.ok(Date.now() - before < 5000)
      await background.addTask('test/plain', {}, { unique: 'bell' })
      assert.equal(rung(), before)
    })

    test('in the caller\u2019s own transaction: together or not at all, whatever plugins the caller has', async () => {
      const own = await openDatabase(scene.config.databaseUrl)
      try {
        const kysely = own.kysely.withPlugin(new CamelCasePlugin()) as unknown as Kysely<Record<string, never>>
        let id = 0
        await kysely.transaction().execute(async trx => {
          const [task] = await background.addTasks([{ action: 'test/plain', params: { in: 'trx' }, options: { trx, unique: 'own' } }])
          id = task!.id
          assert.equal(task!.state, 'waiting')
          assert.equal(await findTask(background.db, id), null)
        })
        assert.deepEqual((await findTask(background.db, id))!.params, { in: 'trx' })
        const had = await count()
        await assert.rejects(
          kysely.transaction().execute(async trx => {
            await background.addTask('test/plain', {}, { trx })
            throw new Error('the caller changes their mind')
          }),
          /changes their mind/,
        )
        assert.equal(await count(), had)
        await kysely.transaction().execute(async trx => {
          await assert.rejects(background.addTask('test/nope', {}, { trx }), codeIs('refused'))
          await background.addTask('test/plain', {}, { trx })
        })
        assert.equal(await count(), had + 1)
      } finally {
        await own.close()
      }
    })

    test('a transaction of the background\u2019s own database', async () => {
      const task = await background.db.kysely.transaction().execute(trx => background.addTask('test/plain', {}, { trx }))
      assert.ok(await findTask(background.db, task.id))
    })

    test('a transaction of another database is refused', async () => {
      const url = await database.url()
      const other = await openScene(t, url ? { databaseUrl: url } : {})
      const migrated = other.background.db.kysely
      await assert.rejects(
        migrated.transaction().execute(trx => background.addTask('test/plain', {}, { trx })),
        codeIs('refused', /trx is a transaction of another database/),
      )
      const emptyUrl = (await database.url()) ?? `sqlite:${join(scene.folder, 'empty.sqlite')}`
      const empty = await openDatabase(emptyUrl)
      await assert.rejects(
        empty.kysely.transaction().execute(trx => background.addTask('test/plain', {}, { trx })),
        codeIs('refused', /without the tables of bgtask/),
      )
      await empty.close()
      await assert.rejects(
        background.db.kysely
          .transaction()
          .execute(trx => background.addTasks([{ action: 'test/plain', options: { trx } }, { action: 'test/plain' }])),
        codeIs('refused', /another trx than the first/),
      )
    })

    test('any params are stored and read back equal, or refused and not stored', { timeout: 120_000 }, async () => {
      const value = fc.oneof(
        fc.jsonValue({ maxDepth: 6 }),
        fc.object({ withBigInt: true, withDate: true }),
        fc.string({ unit: 'binary', maxLength: 2000 }),
        fc.dictionary(fc.string({ unit: 'binary' }), fc.double()),
      )
      const options = fc.oneof(
        fc.constant(undefined),
        fc.record(
          {
            type: fc.string({ unit: 'binary', maxLength: 70 }),
            creator: fc.string({ unit: 'grapheme', maxLength: 70 }),
            priority: fc.integer({ min: -1100, max: 1100 }),
            unique: fc.string({ unit: 'binary', maxLength: 300 }),
          },
          { requiredKeys: [] },
        ),
      )
      await fc.assert(
        fc.asyncProperty(value, options, async (params, given) => {
          const had = await count()
          try {
            const [answer] = await background.storeTasks([{ action: 'test/plain', params, options: given }])
            const { task, added } = answer!
            const stored = await findTask(background.db, task.id)
            assert.equal(await count(), had + (added ? 1 : 0))
            if (!added) return
            loose.deepEqual(stored!.params, params === undefined ? {} : params)
            assert.deepEqual(
              {
                ...stored,
                ...(given?.type === undefined ? {} : { type: given.type }),
                ...(given?.creator === undefined ? {} : { creator: given.creator }),
                ...(given?.unique === undefined ? {} : { uniqueKey: given.unique }),
              },
              stored,
            )
          } catch (error) {
            codeIs('refused')(error)
            assert.equal(await count(), had)
          }
        }),
        { numRuns: 300 },
      )
    })
  })
}

test('a database that is away is told in a sentence without its password, and the next call tries anew', async t => {
  const scene = await makeScene(t, { databaseUrl: 'mysql://kim:hunter2@127.0.0.1:1/x' })
  await assert.rejects(openBackground(scene.config), (error: unknown) => {
    codeIs('database-away', /cannot be reached/)(error)
    assert.ok(!String((error as Error).message).includes('hunter2'))
    return true
  })
})

test('an action that is mended can be asked for at once', async t => {
  const { background, folder } = await openScene(t, { actions: { 'test/late': 'throw new Error("not yet")\n' } })
  await assert.rejects(background.addTask('test/late'), codeIs('refused', /not yet/))
  writeFileSync(join(folder, 'actions', 'test', 'late.ts'), plainAction)
  await new Promise(resolve => setTimeout(resolve, 550)) // the folder is looked at no more than twice a second
  assert.equal((await background.addTask('test/late')).action, 'test/late')
})
