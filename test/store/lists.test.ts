import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { appendAudit, listAudit } from '../../app/store/audit.ts'
import { countTasks } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { beatHost, enterHost, leaveHost, listHosts } from '../../app/store/hosts.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { listTasks, type TaskFilter } from '../../app/store/list-tasks.ts'
import {
  clearLoginFailures,
  giveBackLoginTry,
  type LoginFailures,
  pruneLoginFailures,
  takeLoginTry,
} from '../../app/store/login-throttle.ts'
import { findOnceLink, insertOnceLink, pruneOnceLinks, useOnceLink } from '../../app/store/once-links.ts'
import { listFailedSince, listNext, listRunningNow, listTroubledLoops } from '../../app/store/overview.ts'
import { countRecoveryCodes, useRecoveryCode } from '../../app/store/recovery-codes.ts'
import { replaceRecoveryCodes, takeTotpStep, turnOffSecondFactor, turnOnSecondFactor } from '../../app/store/second-factor.ts'
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
      const troubled = await listTroubledLoops(db, 40)
      assert.deepEqual([...new Set(troubled.map(task => task.state))], ['tripped', 'stalled', 'backing-off'])
      assert.equal(troubled.length, 25)
      const failed = await listFailedSince(db, seedTime, 40)
      assert.ok(failed.every(task => task.state === 'failed'))
      assert.equal(failed.length, 40)
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
      assert.deepEqual(await findUserById(db, eva.id), { id: eva.id, ...user('eva'), passwordChangedAt: 1, totpSecret: null })
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
      assert.deepEqual(await findSession(db, 's1'), { ...session('s1', 8, 500), data: '{"x":1}', ip: null, userAgent: null })
      for (const id of ['s2', 's3']) await saveSession(db, session(id, 8, 300))
      assert.deepEqual((await deleteSessionsOf(db, 8, 's1')).sort(), ['s2', 's3'])
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
      await pruneOnceLinks(db, 100)
      assert.notEqual(await findOnceLink(db, 't'), null)
      await pruneOnceLinks(db, 101)
      assert.equal(await findOnceLink(db, 't'), null)
    })

    test('tries at a login are counted before they are looked at, and given back', async () => {
      const seen = async (...subjects: string[]) => {
        let found: readonly LoginFailures[] = []
        await takeLoginTry(db, subjects, 0, failures => {
          found = failures
          return 1
        })
        return [...found].sort((a, b) => (a.subject < b.subject ? -1 : 1))
      }
      await Promise.all([1, 2, 3].map(at => takeLoginTry(db, ['user:eva', 'ip:::1'], at, () => 0)))
      assert.equal(await takeLoginTry(db, ['user:eva'], 9, () => 0), 0)
      assert.equal(await takeLoginTry(db, ['user:eva', 'ip:::1'], 10, () => 700), 700)
      assert.deepEqual(await seen('user:eva', 'user:nobody'), [{ subject: 'user:eva', failures: 4, lastAt: 9 }])
      await giveBackLoginTry(db, ['user:eva', 'user:nobody'])
      assert.equal((await seen('user:eva'))[0]?.failures, 3)
      await clearLoginFailures(db, ['user:eva'])
      assert.deepEqual(
        (await seen('user:eva', 'ip:::1')).map(({ subject, failures }) => [subject, failures]),
        [['ip:::1', 3]],
      )
      await pruneLoginFailures(db, 100)
      assert.deepEqual(await seen('user:eva', 'ip:::1'), [])
    })

    test('of many tries at once no more are looked at than if they came one after the other', async () => {
      const subjects = ['user:tim', 'ip:1.2.3.4', 'all:7']
      const most = 5
      const waits = await Promise.all(
        Array.from({ length: 40 }, () => takeLoginTry(db, subjects, 1, failures => (failures.some(one => one.failures >= most) ? 1 : 0))),
      )
      const taken = waits.filter(waitMs => waitMs === 0).length
      assert.equal(taken, most)
    })

    test('a code of the second factor is taken once, by one of many, and none of an earlier step after it', async () => {
      await insertUser(db, { name: 'otto', passwordHash: 'h', role: 'viewer', createdAt: 1 })
      const { id } = (await findUser(db, 'otto'))!
      assert.equal(await takeTotpStep(db, id, 'S', 5), false, 'it is off')
      assert.equal(await turnOnSecondFactor(db, id, { secret: 'S', step: 4, codeHashes: ['a', 'b'] }), true)
      assert.equal(await turnOnSecondFactor(db, id, { secret: 'T', step: 4, codeHashes: ['c'] }), false, 'it is on')
      assert.equal(await takeTotpStep(db, id, 'S', 4), false, 'it was taken when it was turned on')
      const taken = await Promise.all([1, 2, 3, 4].map(() => takeTotpStep(db, id, 'S', 6)))
      assert.equal(taken.filter(Boolean).length, 1)
      assert.equal(await takeTotpStep(db, id, 'S', 5), false)
      assert.equal(await takeTotpStep(db, id, 'other', 7), false)
      const used = await Promise.all([1, 2, 3, 4].map(() => useRecoveryCode(db, id, 'a', 9)))
      assert.equal(used.filter(Boolean).length, 1)
      assert.equal(await useRecoveryCode(db, id + 1, 'b', 9), false, 'somebody else has it')
      assert.equal(await countRecoveryCodes(db, id), 1)
      assert.equal(await replaceRecoveryCodes(db, id, ['d', 'e', 'f']), true)
      assert.deepEqual([await countRecoveryCodes(db, id), await useRecoveryCode(db, id, 'b', 9)], [3, false])
      await turnOffSecondFactor(db, id)
      assert.deepEqual([(await findUser(db, 'otto'))?.totpSecret, await countRecoveryCodes(db, id)], [null, 0])
      assert.equal(await replaceRecoveryCodes(db, id, ['g']), false)
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
