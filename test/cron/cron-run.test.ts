import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { askCron } from '../../app/api/ask-cron.ts'
import { queueOf } from '../../app/api/queue.ts'
import { cronFacts } from '../../app/cron/cron-facts.ts'
import { readCron } from '../../app/store/cron.ts'
import { listParts } from '../../app/store/cron-parts.ts'
import { findItem, listAside, queueStand } from '../../app/store/queues.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

const root = join(import.meta.dirname, '..', '..')
const modules = (name: string) => join(root, 'test', 'fixtures', 'modules', name)

const witnessed = ({ runtime }: Scene): string[] => {
  const path = join(runtime, 'cron-witness')
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []
}
const said = (scene: Scene) => witnessed(scene).map(line => line.split(' ')[0]!)
const times = (all: readonly string[], what: string) => all.filter(line => line === what).length

for (const dialect of dialects) {
  describe(`a cron run on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('one hook throws, one hangs, one leaves the process, one leaves an error behind: all others do their work, once', async t => {
      const scene = await makeScene(t, { databaseUrl: await dialect.newUrl(), env: { BGTASK_MODULES: modules('faults') } })
      const { db } = scene.background
      await queueOf('away', async () => scene.background).createItem(1)
      await queueOf('away', async () => scene.background).createItem(2)
      const long = queueOf<number>('long', async () => scene.background)
      for (const n of [1, 2, 3, 4, 5, 6, 7, 8]) await long.createItem(n)
      const delayed = await queueOf('delayed', async () => scene.background).createItem({})
      const begunAt = Date.now()
      await scene.supervise()
      const { task } = await askCron(scene.background, { creator: 'the test' })
      const ended = await scene.untilState(task.id, ['succeeded', 'failed'], 60_000)
      assert.equal(ended.state, 'failed')
      assert.match(
        ended.content!,
        /^5 hooks, of which hangs, stray, throws failed, [3-5] items done, 1 failed and stay, 1 module cannot be used\.$/,
      )
      assert.equal((await scene.runs(task.id)).length, 2, 'the run that a hook left is carried on by a second one')

      const lines = said(scene)
      assert.equal(times(lines, 'good:first'), 1, 'what has ended is not done again')
      assert.equal(times(lines, 'exits'), 2)
      assert.equal(lines.at(-1), 'exits', 'what the process died of goes last')
      assert.equal(times(lines, 'hangs-told'), 1)
      assert.deepEqual([times(lines, 'letter:ada'), times(lines, 'letter:nobody'), times(lines, 'letter:ben')], [1, 1, 2])
      assert.equal(times(lines, 'others'), 0, 'skipOnCron')
      assert.equal(times(lines, 'away'), 1, 'suspended after its first item')
      // Each takes 0.15 s, and after 0.4 s none is begun any more.
      const inTime = times(lines, 'long')
      assert.ok(inTime >= 1 && inTime <= 3, `${inTime} of the queue that has 0.4 s`)
      assert.equal(await long.numberOfItems(), 8 - inTime)
      assert.equal(times(lines, 'delayed'), 1)
      const putBack = (await findItem(db, delayed))!
      assert.deepEqual([putBack.freeAt! >= begunAt + 3_600_000, putBack.failures], [true, 0], 'put back for an hour, which is no failure')

      const parts = new Map((await listParts(db)).map(part => [`${part.kind} ${part.name}`, part]))
      const shown = (name: string) => [parts.get(name)!.outcome, parts.get(name)!.error]
      assert.deepEqual(shown('hook good'), ['done', null])
      assert.deepEqual(shown('hook throws'), ['failed', 'this hook throws'])
      assert.match(shown('hook hangs')[1]!, /did not end within 0.3 s/)
      assert.match(shown('hook stray')[1]!, /nobody caught: from a timer/)
      assert.deepEqual(shown('hook exits'), ['done', null])
      assert.equal(parts.get('queue letters')!.failed, 1)
      assert.equal((await readCron(db)).lock, null)
      const facts = await cronFacts(scene.config)
      assert.match(facts.modules.find(({ name }) => name === 'broken')!.error!, /this module is broken/)
      assert.equal(facts.queues.find(({ name }) => name === 'letters')!.timeMs, 9_000, 'altered')

      // The next run: what failed is tried again, and set aside when it has failed often enough; nothing is lost.
      const next = await askCron(scene.background, { creator: 'the test' })
      assert.equal(next.added, true)
      await scene.untilState(next.task.id, ['succeeded', 'failed'], 60_000)
      assert.equal(times(said(scene), 'delayed'), 1, 'not within the hour')
      assert.ok(times(said(scene), 'long') > inTime, 'the long queue goes on')
      assert.equal(times(said(scene), 'good:again'), 1, 'a hook is told when it last went well')
      const [aside] = await listAside(db, 'letters', { limit: 10 })
      assert.deepEqual([aside!.data, aside!.error, aside!.failures], [{ to: 'nobody', fails: true }, 'there is no such address', 2])
      assert.deepEqual(
        [(await queueStand(db, 'letters')).waiting, (await queueStand(db, 'away')).waiting, (await queueStand(db, 'others')).waiting],
        [1, 2, 2],
      )
    })

    test('killed in the middle of an item: carried on within seconds, no item lost or held; no second run beside it', async t => {
      const scene = await makeScene(t, { databaseUrl: await dialect.newUrl(), env: { BGTASK_MODULES: modules('killed') } })
      const { db } = scene.background
      const slow = queueOf<number>('slow', async () => scene.background)
      for (const n of [1, 2, 3, 4, 5]) await slow.createItem(n)
      await scene.supervise()
      const { task } = await askCron(scene.background, { creator: 'the test' })
      const at3 = await until('the third item is at work', () => witnessed(scene).find(line => line.startsWith('begins:3')), 60_000)

      const [one, two] = await Promise.all([askCron(scene.background, { creator: 'a' }), askCron(scene.background, { creator: 'b' })])
      assert.deepEqual([one.task.id, one.added, two.task.id, two.added], [task.id, false, task.id, false])
      const byHand = await runByHand(scene, task.id)
      assert.match(byHand.output, new RegExp(`Cron runs already \\(task ${task.id}, since .*\\); nothing was done`))
      assert.notEqual(byHand.code, 0)

      process.kill(Number(at3.split(' ')[1]), 'SIGKILL')
      const killedAt = performance.now()
      writeFileSync(join(scene.runtime, 'go'), '')
      const ended = await scene.untilState(task.id, ['succeeded', 'failed'], 60_000)
      assert.ok(performance.now() - killedAt < 30_000)
      assert.deepEqual([ended.state, ended.content], ['succeeded', '1 hook, 3 items done.'])
      const lines = said(scene)
      assert.equal(times(lines, 'hook'), 1, 'the hook had ended')
      for (const n of [1, 2, 3, 4, 5]) assert.equal(times(lines, `done:${n}`), 1, `item ${n}`)
      assert.equal(lines.at(-1), 'done:3', 'behind the others, since it may have been the reason')
      assert.deepEqual(await queueStand(db, 'slow'), { waiting: 0, aside: 0, oldestAt: null })
      assert.equal((await readCron(db)).lock, null)
    })
  })
}

const runByHand = ({ runtime, config }: Scene, id: number) =>
  new Promise<{ code: number | null; output: string }>(resolve => {
    const env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      BGTASK_RUNTIME: runtime,
      BGTASK_MODULES: config.modules,
      DATABASE_URL: config.databaseUrl,
    }
    const child = spawn(process.execPath, [join(root, 'index.js'), 'core/cron', String(id)], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
      })
    }
    child.on('close', code => resolve({ code, output }))
  })
