import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { appendAudit, listAudit } from '../../app/store/audit.ts'
import { countTasks } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { beatHost, enterHost, leaveHost, listHosts } from '../../app/store/hosts.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { listTasks, type TaskFilter } from '../../app/store/list-tasks.ts'
import { clearLoginFailures, findLoginFailures, noteLoginFailure, pruneLoginFailures } from '../../app/store/login-throttle.ts'
import { findOnceLink, insertOnceLink, useOnceLink } from '../../app/store/once-links.ts'
import { listAttention, listNext, listRunningNow } from '../../app/store/overview.ts'
import { deleteSession, deleteSessionsOf, findSession, pruneSessions, saveSession } from '../../app/store/sessions.ts'
import { anyUser, findUser, findUserById, insertFirstUser, insertUser, listUsers, setPassword } from '../../app/store/users.ts'
import { cancelTask } from '../../app/store/wishes.ts'
import type { Task } from '../../app/task/task.ts'
import { dialects, freshDb } from './dialects.ts'
import { newTask } from './new-task.ts'
import { seed, seedTime } from './seed.ts'

for (const dialect of dialects) {
  describe(`lists of ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    let all: Task[]
    before(async () => {
      db = await freshDb(dialect, { statementTimeoutMs: 30_000 })
      await seed(db, 2_000)
      all = []
      for (let after: string | undefined; ; ) {
        const page = await listTasks(db, {}, { limit: 500, ...(after ? { after } : {}) })
        all.push(...page.tasks)
        if (page.older === null) break
        after = page.older
      }
    })

    test('page by page, all tasks come once, newest first', () => {
      assert.equal(all.length, 3_200)
      for (let n = 1; n < all.length; n++) assert.ok(all[n]!.id < all[n - 1]!.id)
    })

    const filters: TaskFilter[] = [
      { states: ['failed'] },
      { states: ['failed', 'cancelled', 'running'] },
      { execType: 'ONCE', states: ['running'] },
      { execType: 'FOREVER', states: ['running'] },
      { execType: 'FOREVER', states: ['waiting'] },
      { execType: 'FOREVER' },
      { type: 'type3' },
      { action: 'demo/action7', states: ['waiting'] },
      { creator: 'creator9', type: 'type2' },
      { creator: 'creator9', action: 'demo/action9', execType: 'ONCE' },
      { text: '"n":19' },
      { text: 'SOME Content', states: ['succeeded'] },
      { text: '%' },
      { text: 'action1', type: 'type3' },
      { action: 'none/such' },
      { states: [] },
    ]
    const fits = (task: Task, { states, execType, type, action, creator, text }: TaskFilter) =>
      (!states || states.includes(task.state)) &&
      (!execType || task.execType === execType) &&
      (type === undefined || task.type === type) &&
      (action === undefined || task.action === action) &&
      (creator === undefined || task.creator === creator) &&
      (!text ||
        [task.action, JSON.stringify(task.params), task.type, task.creator, task.content ?? ''].some(part =>
          part.toLowerCase().includes(text.toLowerCase()),
        ))

    for (const filter of filters) {
      test(`filter ${JSON.stringify(filter)}: forwards and back, the same pages`, async () => {
        const expected = all.filter(task => fits(task, filter)).map(task => task.id)
        const pages: { ids: number[]; newer: string | null }[] = []
        let after: string | undefined
        do {
          const page = await listTasks(db, filter, { limit: 150, ...(after ? { after } : {}) })
          pages.push({ ids: page.tasks.map(task => task.id), newer: page.newer })
          after = page.older ?? undefined
        } while (after)
        assert.deepEqual(
          pages.flatMap(page => page.ids),
          expected,
        )
        assert.equal(pages[0]!.newer, null)
        for (let n = pages.length - 1; n > 0; n--) {
          const back = await listTasks(db, filter, { limit: 150, before: pages[n]!.newer! })
          assert.deepEqual(
            back.tasks.map(task => task.id),
            pages[n - 1]!.ids,
          )
          assert.equal(back.newer === null, n === 1)
          assert.notEqual(back.older, null)
        }
      })
    }

    test('a cursor that is none is refused', () => assert.rejects(listTasks(db, {}, { limit: 5, after: "1' OR 1" }), /page cursor is/))

    test('overview', async () => {
      const attention = await listAttention(db, seedTime, 40)
      assert.deepEqual([...new Set(attention.map(task => task.state))], ['tripped', 'stalled', 'backing-off', 'failed'])
      assert.equal(attention.length, 40)
      assert.equal((await listRunningNow(db, 12)).length, 12)
      const next = await listNext(db, 2_000)
      assert.equal(next.length, 900)
      const due = next.slice(0, 440).map(task => task.runAt)
      assert.deepEqual(
        due,
        [...due].sort((a, b) => a - b),
      )
    })

    test('counts', async () => {
      const counts = await countTasks(db)
      const { waiting, stopped, tripped, stalled } = counts
      assert.deepEqual([waiting, stopped, tripped, stalled, counts['backing-off'], counts.running], [900, 1_000, 10, 5, 10, 170])
      const [added] = await insertTasks(db, [newTask()])
      await cancelTask(db, added!.task.id, 'eva', 1)
      assert.equal((await countTasks(db)).cancelled, counts.cancelled + 1)
    })
  })

  describe(`people, sessions and hosts of ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    before(async () => {
      db = await freshDb(dialect)
    })
    const user = (name: string) => ({ name, passwordHash: `hash of ${name}`, role: 'admin', createdAt: 1 }) as const
    const session = (idHash: string, userId: number | null, expiresAt = 100) => ({
      idHash,
      userId,
      data: '{}',
      expiresAt,
      createdAt: 1,
      seenAt: 2,
    })

    test('of ten first users one is stored', async () => {
      assert.equal(await anyUser(db), false)
      const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => insertFirstUser(db, user(`first-${n}`))))
      assert.equal(answers.filter(Boolean).length, 1)
      assert.equal((await listUsers(db)).length, 1)
      assert.equal(await anyUser(db), true)
    })

    test('names are unique and exact; a new password ends the other sessions', async () => {
      await insertUser(db, user('eva'))
      await assert.rejects(insertUser(db, user('eva')), /There is a user eva already/)
      await insertUser(db, user('Eva'))
      const eva = (await findUser(db, 'eva'))!
      assert.deepEqual(await findUserById(db, eva.id), { id: eva.id, ...user('eva'), passwordChangedAt: 1 })
      assert.equal(await findUser(db, 'eva '), null)
      for (const id of ['a', 'b']) await saveSession(db, session(id, eva.id))
      await saveSession(db, session('other', null))
      assert.equal(await setPassword(db, 'eva', 'new', 9, 'b'), true)
      assert.equal((await findUser(db, 'eva'))?.passwordHash, 'new')
      assert.deepEqual(
        [await findSession(db, 'a'), (await findSession(db, 'b'))?.userId, (await findSession(db, 'other'))?.userId],
        [null, eva.id, null],
      )
      assert.equal(await setPassword(db, 'nobody', 'new', 9), false)
    })

    test('sessions: saved again, deleted, pruned', async () => {
      await saveSession(db, session('s1', 7))
      await saveSession(db, { ...session('s1', 8, 500), data: '{"x":1}', createdAt: 999 })
      assert.deepEqual(await findSession(db, 's1'), { ...session('s1', 8, 500), data: '{"x":1}' })
      for (const id of ['s2', 's3']) await saveSession(db, session(id, 8, 300))
      assert.equal(await deleteSessionsOf(db, 8, 's1'), 2)
      assert.equal(await pruneSessions(db, 499), 2)
      assert.equal((await findSession(db, 's1'))?.userId, 8)
      await deleteSession(db, 's1')
      assert.equal(await findSession(db, 's1'), null)
    })

    test('a link works once, in time, for its purpose', async () => {
      await insertOnceLink(db, { tokenHash: 't', purpose: 'first-admin', expiresAt: 100, detail: 'x' })
      assert.equal(await useOnceLink(db, 't', 'other', 50), null)
      assert.equal(await useOnceLink(db, 't', 'first-admin', 100), null)
      const used = await Promise.all([1, 2, 3, 4].map(() => useOnceLink(db, 't', 'first-admin', 50)))
      assert.equal(used.filter(Boolean).length, 1)
      assert.deepEqual(await findOnceLink(db, 't'), { tokenHash: 't', purpose: 'first-admin', expiresAt: 100, usedAt: 50, detail: 'x' })
      assert.equal(await findOnceLink(db, 'unknown'), null)
    })

    test('failed logins are counted', async () => {
      await Promise.all([1, 2, 3].map(at => noteLoginFailure(db, ['user:eva', 'ip:::1'], at)))
      await noteLoginFailure(db, 'user:eva', 9)
      assert.deepEqual(await findLoginFailures(db, ['user:eva', 'user:nobody']), [{ subject: 'user:eva', failures: 4, lastAt: 9 }])
      await clearLoginFailures(db, ['user:eva'])
      await pruneLoginFailures(db, 100)
      assert.deepEqual(await findLoginFailures(db, ['user:eva', 'ip:::1']), [])
    })

    test('audit: newest first, by pages', async () => {
      for (const act of ['a', 'b', 'c'])
        await appendAudit(db, { at: 1, userName: 'eva', ip: null, via: 'panel', act, subject: 'x'.repeat(300), detail: null })
      const first = await listAudit(db, { limit: 2 })
      assert.deepEqual(
        first.map(entry => entry.act),
        ['c', 'b'],
      )
      assert.deepEqual(
        (await listAudit(db, { limit: 2, before: first[1]!.id })).map(entry => entry.act),
        ['a'],
      )
      assert.equal(first[0]!.subject?.length, 255)
    })

    test('a host is entered, beats, is entered anew, and left', async () => {
      const host = { host: 'h', epoch: 'e1', pid: 1, version: '1', hostname: 'box', runtime: '/r', startedAt: 5 }
      await enterHost(db, host, 10)
      assert.equal(await beatHost(db, 'h', 'e1', { running: 2, loops: 3 }, 20), true)
      assert.deepEqual(await listHosts(db), [{ ...host, beat: 2, beatAt: 20, leftAt: null, running: 2, loops: 3 }])
      await enterHost(db, { ...host, epoch: 'e2' }, 30)
      assert.equal(await beatHost(db, 'h', 'e1', { running: 0, loops: 0 }), false)
      await leaveHost(db, 'h', 'e2', 40)
      assert.deepEqual(
        (await listHosts(db)).map(({ epoch, beat, leftAt }) => [epoch, beat, leftAt]),
        [['e2', 3, 40]],
      )
    })
  })
}
