import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listAudit } from '../../app/store/audit.ts'
import { listEdits } from '../../app/store/list-edits.ts'
import { makeScene } from '../helpers/scene.ts'
import { json, run } from './run.ts'

test('params and limits are changed and reverted by hand, without a secret in what is printed, and the audit tells it', async t => {
  const scene = await makeScene(t)
  const { background, config } = scene
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_RUNTIME: scene.runtime, BGTASK_ACTIONS: config.actions.join(':') }
  const b = (...args: string[]) => run(env, ...args)
  const loop = await background.addTask('test/forever', { intervalMs: 100, password: 'first-secret-1' }, 'FOREVER')
  const id = String(loop.id)
  const changed = await b('edit', id, '{"intervalMs": 200, "password": "other-secret-2"}', '--grace', '3s', '--restart')
  assert.deepEqual([changed.code, changed.stderr], [0, ''])
  assert.match(
    changed.stdout,
    /^Task 1 has other params or limits \(change 1\); they count after its current iteration, by a fresh process\.$/m,
  )
  const after = await scene.task(loop.id)
  assert.deepEqual([after.params, after.graceMs, after.wish], [{ intervalMs: 200, password: 'other-secret-2' }, 3_000, loop.wish + 1])
  const again = await b('edit', id, '--grace', '4s', '--json')
  assert.deepEqual(json(again), {
    ...{ taskId: 1, n: 2, effect: 'next' },
    changes: [{ limit: 'graceMs', name: '', from: '3000', to: '4000', isHidden: false }],
    more: 0,
  })
  const back = await b('edit', id, '--revert', '1', '--json')
  assert.doesNotMatch(back.stdout, /secret-[12]/)
  assert.deepEqual((await scene.task(loop.id)).params, loop.params)
  assert.equal((await listEdits(background.db, loop.id, { limit: 9 }))[0]!.via, 'command-line')
  for (const [args, code, words] of [
    [[id, '--timeout', '5s'], 2, /is a loop, which has no timeoutMs/],
    [[id, '--revert', '9'], 1, /has no edit 9/],
    [[id, '--grace', '10s'], 1, /Nothing of this differs/],
    [[id, '{"password": "[redacted]"}'], 1, /stands for a hidden value/],
  ] as const) {
    const refused = await b('edit', ...args)
    assert.equal(refused.code, code, refused.stderr)
    assert.match(refused.stderr, words)
  }
  assert.deepEqual(
    (await listAudit(background.db, { limit: 9 })).map(({ act, via }) => [act, via]),
    [
      ['task-reversal', 'command-line'],
      ['task-edit', 'command-line'],
      ['task-edit', 'command-line'],
    ],
  )
})
