import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { askCron } from '../../app/api/ask-cron.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { findTask } from '../../app/store/find-task.ts'
import { enterHost } from '../../app/store/hosts.ts'
import { databases, openScene } from './scene.ts'

describe('a cron run of a host that is gone holds nobody up for good', () => {
  for (const database of databases) {
    test(`on ${database.name}`, async t => {
      const databaseUrl = await database.url()
      const { background } = await openScene(t, databaseUrl ? { databaseUrl } : {})
      const { db } = background
      const now = Date.now()
      const facts = { pid: 1, version: '', hostname: 'other', runtime: '/', startedAt: now }
      const { task } = await askCron(background, { creator: 'the test' })
      await enterHost(db, { host: 'other', epoch: 'e', ...facts }, now)
      await claimTask(db, (await findTask(db, task.id))!, { host: 'other', epoch: 'e' }, now)
      const kept = await askCron(background, { creator: 'the test' })
      assert.deepEqual([kept.task.id, kept.added], [task.id, false], 'while its host gives signs of life, no other is added')

      await enterHost(db, { host: 'other', epoch: 'e', ...facts }, now - 61_000)
      const next = await askCron(background, { creator: 'the test' })
      assert.deepEqual([next.added, next.task.id > task.id], [true, true])
      assert.equal((await findTask(db, task.id))!.state, 'running', 'nothing is said of it that nobody knows')
      const again = await askCron(background, { creator: 'the test' })
      assert.deepEqual([again.task.id, again.added], [next.task.id, false])
    })
  }
})
