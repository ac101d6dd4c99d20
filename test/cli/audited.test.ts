import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { describe, test } from 'node:test'
import { CompiledQuery } from 'kysely'
import { openBackground } from '../../app/api/background.ts'
import { thisUser } from '../../app/api/this-user.ts'

import { readFlag } from '../../app/runs/flags.ts'
import { identify } from '../../app/runs/process-identity.ts'
import { prepareRuntimeFolder, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor, writeSupervisor } from '../../app/runs/supervisor-file.ts'
import { listAudit } from '../../app/store/audit.ts'
import { insertToken } from '../../app/store/tokens.ts'
import { databases, makeScene, plainAction } from '../api/scene.ts'
import { newUser } from '../helpers/new-user.ts'
import { run, runWithInput } from './run.ts'

const me = `${thisUser().name} (command line)`
/** Tells of its own environment. */
const nosyAction = "export const execute = async () => console.log('told:', process.env.BGTASK_AUDITED ?? 'nothing')\n"

for (const database of databases) {
  describe(`what is done at the command line, on ${database.name}`, () => {
    const scenes = async (t: Parameters<typeof makeScene>[0]) => {
      const url = await database.url()
      const scene = await makeScene(t, {
        actions: { 'test/plain': plainAction, 'test/nosy': nosyAction },
        ...(url ? { databaseUrl: url } : {}),
      })
      const background = await openBackground(scene.config)
      t.after(() => background.close())
      const told = async (from = 0) =>
        (await listAudit(background.db, { limit: 100, after: from })).reverse().map(({ act, subject, detail }) => [act, subject, detail])
      return { scene, background, told, sql: (text: string) => background.db.kysely.executeQuery(CompiledQuery.raw(text)) }
    }

    test('each act is told, by the user of the machine', { timeout: 120_000 }, async t => {
      const { scene, background, told } = await scenes(t)
      const b = (...args: string[]) => run(scene.env, ...args)
      for (const args of [
        ['add', 'test/plain', '--in', '1d'],
        ['add', 'test/nosy', '--in', '1d', '--unique', 'k'],
        ['add', 'test/nosy', '--unique', 'k'],
        ['cancel', '1'],
        ['retry', '1'],
        ['add', 'test/plian'],
        ['cancel', '77'],
        ['records'],
        ['show', '1'],
        ['status'],
        ['reload'],
        ['stop'],
      ])
        await b(...args)
      assert.deepEqual(await told(), [
        ['task-added', '1', 'test/plain'],
        ['task-added', '2', 'test/nosy'],
        ['task-cancellation', '1', null],
        ['task-retry', '1', null],
      ])
      const byHand = await b('test/nosy', '2')
      assert.match(byHand.stdout, /told: nothing/, byHand.stderr)
      const debug = await b('debug', '2')
      assert.match(debug.stdout, /told: nothing/)
      assert.deepEqual((await told()).slice(4), [
        ['run-by-hand', '2', 'test/nosy'],
        ['debug-run', '2', 'test/nosy'],
      ])
      const failed = await b('retry', '2')
      assert.equal(failed.code, 75)
      assert.deepEqual(
        (await told()).slice(6).map(([act]) => act),
        ['task-retry', 'task-retry-failed'],
      )
      for (const args of [['start'], ['start'], ['reload'], ['restart'], ['stop', '--hold'], ['stop'], ['start'], ['stop']])
        await b(...args)
      const ofLoop = ['loop-started', 'loop-reloaded', 'loop-stopped', 'loop-started', 'loop-held', 'loop-released', 'loop-stopped']
      assert.deepEqual(
        (await told()).slice(8),
        ofLoop.map(act => [act, 'loop', hostname()]),
      )
      const all = await listAudit(background.db, { limit: 100 })
      assert.deepEqual([...new Set(all.map(({ via, userName, ip }) => `${via} ${userName} ${ip}`))], [`command-line ${me} null`])
    })

    test('what the audit cannot tell is not done', { timeout: 120_000 }, async t => {
      const { scene, background, sql } = await scenes(t)
      const { runtime } = scene.config
      const waiting = await background.addTask('test/plain', {}, { delayMs: 3_600_000 })
      const { id: ended } = await background.addTask('test/plain', {}, { delayMs: 3_600_000 })
      await sql(`UPDATE bg_task SET state = 'failed', due = NULL, finished_at = 1 WHERE id = ${ended}`)
      await background.addSchedule('nightly', { everyMs: 3_600_000, action: 'test/plain' })
      await newUser(background.db, { name: 'eva', role: 'viewer' })
      const token = await insertToken(background.db, {
        name: 'shop',
        hash: 'x',
        scopes: ['task:read'],
        createdBy: 'kim',
        createdAt: 1,
        expiresAt: null,
      })
      const tables = ['bg_task', 'bg_edit', 'bg_schedule', 'bg_user', 'bg_token', 'bg_once_link', 'bg_cron']
      const tasks = async () =>
        JSON.stringify(await Promise.all(tables.map(async table => (await sql(`SELECT * FROM ${table} ORDER BY 1`)).rows)))
      const before = await tasks()
      await sql('ALTER TABLE bg_audit RENAME TO bg_audit_away')
      const refused = async (...args: string[]) => {
        const ended = await runWithInput(scene.env, args.includes('--password-stdin') ? 'an anchor below the harbour\n' : '', ...args)
        assert.equal(ended.code, 1, `${args.join(' ')}: ${ended.stderr}`)
        assert.match(ended.stderr, /^(The supervisor does not run\.\n)?The audit cannot be written, so this is not done\./, args.join(' '))
        assert.equal(ended.stdout, '')
        assert.equal(await tasks(), before)
      }
      for (const args of [
        ['add', 'test/plain'],
        ['add', 'test/plain', '--unique', 'x'],
        ['add', 'test/plain', '--forever'],
        ['cancel', String(waiting.id)],
        ['test/plain', String(waiting.id)],
        ['debug', String(waiting.id)],
        ['start'],
        ['restart'],
        ['stop', '--hold'],
      ])
        await refused(...args)
      // They store in ways that were seen above: on one database that is enough.
      if (database === databases[0]) {
        const words = [
          `retry ${ended}`,
          `move ${waiting.id} --in 2h`,
          `edit ${waiting.id} --grace 77s`,
          'failed retry --all',
          'failed discard --all',
          'schedule add feeds test/plain --every 15m',
          'schedule pause nightly',
          'schedule run nightly',
          'schedule remove nightly',
          'cron run',
          'cron key --renew',
          'user add kim --password-stdin',
          'user passwd eva --password-stdin',
          'user link eva',
          'token create other --scope task:read',
          `token revoke ${token}`,
        ]
        for (const line of words) await refused(...line.split(' '))
        assert.equal(existsSync(runtimePaths(runtime).cronKey), false)
      }
      assert.equal(readSupervisor(runtime), null)
      assert.equal(existsSync(runtimePaths(runtime).hold), false)
      // This process stands in for a supervisor, which only never looks at its flags.
      prepareRuntimeFolder(runtime)
      const now = Date.now()
      const self = { ...identify(process.pid)!, epoch: 'life', version: '0', startedAt: now, tickAt: now, phase: 'running' as const }
      writeSupervisor(runtime, { ...self, databaseAwaySince: null, unrecorded: 0, running: 0, loops: 0 })
      try {
        for (const args of [['stop'], ['stop', '--hold'], ['restart'], ['reload']]) await refused(...args)
        const stop = await run(scene.env, 'stop')
        assert.match(stop.stderr, new RegExp(`kill ${process.pid} ends the supervisor in order`))
        for (const flag of [runtimePaths(runtime).stop, runtimePaths(runtime).reload, runtimePaths(runtime).hold])
          assert.equal(readFlag(flag), null)
      } finally {
        writeSupervisor(runtime, { ...self, pid: 1, startTicks: 0, databaseAwaySince: null, unrecorded: 0, running: 0, loops: 0 } as never)
      }
      const check = await run(scene.env, 'check')
      assert.equal(check.code, 78)
      assert.match(check.stdout, /ERROR +audit: The audit cannot be written \(.*bg_audit/)
      await sql('ALTER TABLE bg_audit_away RENAME TO bg_audit')
      assert.match((await run(scene.env, 'check')).stdout, /ok +audit: The audit can be written, and its chain is whole \(all 0 rows\)\./)
      assert.equal((await run(scene.env, 'add', 'test/plain')).code, 0)
    })
  })
}

test('without its database the loop is not stopped, and the way out is told', async t => {
  const scene = await makeScene(t)
  const away = await run({ ...scene.env, DATABASE_URL: 'mysql://kim:geheim@127.0.0.1:1/x' }, 'stop')
  assert.equal(away.code, 78)
  assert.match(away.stderr, /^The database .* cannot be reached/)
  assert.doesNotMatch(away.stderr, /geheim/)
})
