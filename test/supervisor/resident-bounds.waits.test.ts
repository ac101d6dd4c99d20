import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'
import { residentsOf } from './residents-of.ts'

for (const dialect of dialects) {
  describe(`bounds of resident runners, on ${dialect.name}`, { skip: dialect.skip }, () => {
    let scene: Scene
    const cleanUp: (() => unknown)[] = []
    before(async () => {
      scene = await makeScene({ after: (work: () => unknown) => cleanUp.push(work) } as never, { databaseUrl: await dialect.newUrl() })
      await scene.supervise()
    })
    after(async () => {
      for (const work of cleanUp) await work()
    })
    const { add, addMany, ended, lastRun, outputOf } = residentsOf(() => scene)

    test('each task has its own output, also of several at once; what goes past the streams is in the output of the process', async () => {
      const ids = await addMany(
        'three',
        ['a', 'b', 'c'].map(text => ({ do: 'print', text })),
      )
      for (const id of ids) await ended(id)
      for (const [index, text] of ['a', 'b', 'c'].entries()) {
        const lines = outputOf(ids[index]!)!.trim().split('\n')
        assert.deepEqual(lines.slice(0, 4), [`${text} 0`, `${text} 1`, `${text} 2`, `${text} to stderr`])
        assert.match(lines[4]!, new RegExp(`INFO logged text=${text}$`))
        assert.equal(lines.length, 5)
        assert.equal((await lastRun(ids[index]!)).outputBytes, Buffer.byteLength(`${lines.join('\n')}\n`))
      }
      const name = readdirSync(join(scene.runtime, 'residents')).find(folder => folder.startsWith('test.resident.three'))!
      assert.match(readFileSync(join(scene.runtime, 'residents', name, 'output.log'), 'utf8'), /^a by its number$/m)
    })

    test('no memory left: what it held has crashed as out-of-memory', { timeout: 60_000 }, async t => {
      const small = await makeScene(t, {
        databaseUrl: await dialect.newUrl(),
        env: { BGTASK_CHILD_ENV: 'NODE_OPTIONS', NODE_OPTIONS: '--max-old-space-size=100' },
      })
      const supervising = await small.supervise()
      const [first, other] = await small.background.addTasks([
        { action: 'test/resident/one', params: { do: 'exhaust the heap' }, options: { rerunAfterCrash: false } },
        { action: 'test/resident/one' },
      ] as never)
      const { id } = first!
      await small.untilState(id, 'failed', 45_000)
      assert.equal((await small.runs(id))[0]!.outcome, 'out-of-memory')
      assert.equal((await small.untilState(other!.id, 'succeeded')).crashCount, 0)
      await supervising.stop()
    })

    test('a fresh process after so many tasks, so long, so much memory; none when there is nothing to do', {
      timeout: 60_000,
    }, async () => {
      const ids = await addMany(
        'recycled',
        Array.from({ length: 7 }, () => ({})),
      )
      for (const id of ids) await ended(id)
      const pids = (await Promise.all(ids.map(lastRun))).map(run => run.pid)
      assert.deepEqual([new Set(pids.slice(0, 3)).size, new Set(pids.slice(3, 6)).size, new Set(pids).size], [1, 1, 3])

      const large = await add('large', { do: 'grow by', ms: 300 })
      await ended(large)
      const pid = (await lastRun(large)).pid!
      await until('it has gone', () => scene.marked().every(one => one.pid !== pid))

      const old = await add('old')
      await ended(old)
      const oldPid = (await lastRun(old)).pid!
      await until('it is too old', () => scene.marked().every(one => one.pid !== oldPid))

      const brief = await add('brief')
      await ended(brief)
      const briefPid = (await lastRun(brief)).pid!
      await until('nobody needs it', () => scene.marked().every(({ pid }) => pid !== briefPid))
    })
  })
}
