import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { queueOf } from '../../app/api/queue.ts'
import { listParts } from '../../app/store/cron-parts.ts'
import { makeScene } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

const library = join(import.meta.dirname, '..', '..', 'app', 'index.ts')

for (const dialect of dialects) {
  describe(`the demo module on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('runCron() from a script: the hook puts letters into the queue, and the worker sends them', async t => {
      const scene = await makeScene(t, { databaseUrl: await dialect.newUrl() })
      const { db } = scene.background
      const letters = queueOf<{ to: string; fails?: boolean }>('demo_letters', async () => scene.background)
      await letters.createItem({ to: 'nobody', fails: true })
      const script = `import { closeBackground, runCron } from ${JSON.stringify(library)}
        const first = await runCron()
        const second = await runCron()
        console.log(JSON.stringify([first.id, second.id, first.action]))
        await closeBackground()`
      const env = { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_RUNTIME: scene.runtime, DATABASE_URL: scene.config.databaseUrl }
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { env })
      const [first, second, action] = JSON.parse(stdout) as [number, number, string]
      assert.deepEqual([second, action], [first, 'core/cron'], 'while one waits, no other is added')
      await scene.supervise()
      const ended = await scene.untilState(first, ['succeeded', 'failed'], 60_000)
      assert.deepEqual([ended.state, ended.content], ['succeeded', '1 hook, 3 items done, 1 failed and stay.'])
      assert.equal(await letters.numberOfItems(), 1)
      const parts = await listParts(db)
      assert.deepEqual(parts.map(({ kind, name, outcome }) => `${kind} ${name} ${outcome}`).sort(), [
        'hook demo done',
        'queue demo_letters done',
      ])
    })
  })
}
