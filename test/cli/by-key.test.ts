import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { databases, openScene } from '../api/scene.ts'
import { json, run } from './run.ts'

interface Shown {
  id: number
  state: string
  runAt: number
  params: { classroom: string }
}

describe('a unique key stands for the task that holds it, in the terminal too', () => {
  for (const database of databases) {
    test(`on ${database.name}`, async t => {
      const databaseUrl = await database.url()
      const { background, env } = await openScene(t, databaseUrl ? { databaseUrl } : {})
      const key = ['--unique', 'teacher:17'] as const
      const add = (classroom: string) =>
        run(env, 'add', 'test/plain', JSON.stringify({ classroom }), '--in', '45m', ...key, '--on-conflict', 'replace', '--json')
      const first = json<Shown>(await add('201'))
      const second = json<Shown>(await add('202'))

      const shown = await run(env, 'show', ...key)
      assert.deepEqual([shown.code, /^task\s+(\d+)/.exec(shown.stdout)?.[1]], [0, String(second.id)])
      assert.match(shown.stdout, /unique\s+teacher:17/)
      const kept = json<Shown[]>(await run(env, 'records', ...key, '--json'))
      assert.deepEqual(
        kept.map(({ id, state, params }) => [id, state, params.classroom]),
        [
          [second.id, 'waiting', '202'],
          [first.id, 'cancelled', '201'],
        ],
      )

      const before = (await background.taskWithKey('teacher:17'))!.runAt
      assert.equal((await run(env, 'move', ...key, '--in', '2h')).code, 0)
      const { runAt } = (await background.taskWithKey('teacher:17'))!
      assert.ok(runAt - before > 60 * 60_000, `${runAt - before} ms later`)

      assert.equal((await run(env, 'cancel', ...key)).code, 0)
      assert.equal(await background.taskWithKey('teacher:17'), null)
      for (const command of [
        ['show', ...key],
        ['cancel', ...key],
        ['move', ...key, '--in', '1h'],
      ]) {
        const { code, stderr } = await run(env, ...command)
        assert.equal(code, 1)
        assert.match(stderr, /^No task holds the unique key "teacher:17": it is free, or was never used\.\n$/)
      }
    })
  }
})
