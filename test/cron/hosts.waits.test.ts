import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { queueOf } from '../../app/api/queue.ts'
import { launcher } from '../../app/paths.ts'
import { hostId } from '../../app/runs/host-id.ts'
import { readCron } from '../../app/store/cron.ts'
import { listParts } from '../../app/store/cron-parts.ts'
import { queueStand } from '../../app/store/queues.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

const { skip, newUrl } = dialects.find(({ name }) => name === 'MariaDB')!

/*
 * Two runtime folders are two hosts: neither can see whether a process of the other lives. Cron is run by hand in each, so that the test says which host
 * does it. What the first one is stopped by looks to the second like a machine that is gone; and then it comes back.
 */
test('two hosts on one database: cron runs on one of them; a run that vanished loses it within seconds, and comes back to nothing', {
  skip,
}, async t => {
  const databaseUrl = await newUrl()
  const env = { BGTASK_MODULES: join(import.meta.dirname, '..', 'fixtures', 'modules', 'killed') }
  const a = await makeScene(t, { databaseUrl, env })
  const b = await makeScene(t, { databaseUrl, env })
  assert.notEqual(hostId(a.runtime), hostId(b.runtime))
  const { db } = a.background
  const slow = queueOf<number>('slow', async () => a.background)
  for (const n of [1, 2, 3, 4, 5]) await slow.createItem(n)
  const [first, second] = await a.background.addTasks([{ action: 'core/cron' }, { action: 'core/cron' }])

  const onA = runCron(t, a, first!.id)
  await until(
    'the first host is at the third item',
    () => said(a).includes('begins:3'),
    30_000,
    () => onA.output(),
  )
  const refused = runCron(t, b, second!.id)
  assert.notEqual(await refused.ended, 0)
  assert.match(refused.output(), new RegExp(`Cron runs already \\(task ${first!.id}, since .*\\); nothing was done`))
  assert.deepEqual(said(b), [])

  onA.child.kill('SIGSTOP')
  const stoppedAt = performance.now()
  const onB = runCron(t, b, second!.id)
  await until(
    'the second host does the rest, up to what the first was at',
    () => said(b).includes('begins:3'),
    40_000,
    () => onB.output(),
  )
  assert.ok(performance.now() - stoppedAt < 30_000, 'within seconds, and not 240')
  assert.deepEqual(said(b), ['hook', 'begins:4', 'done:4', 'begins:5', 'done:5', 'begins:3'])

  // There is more to do when the first one comes back, and it must leave it alone.
  for (const n of [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]) await slow.createItem(n)
  writeFileSync(join(a.runtime, 'go'), '')
  onA.child.kill('SIGCONT')
  assert.notEqual(await onA.ended, 0)
  assert.match(onA.output(), /Another process has taken cron over/)
  assert.deepEqual(said(a), ['hook', 'begins:1', 'done:1', 'begins:2', 'done:2', 'begins:3', 'done:3'])
  assert.equal((await readCron(db)).lock?.taskId, second!.id, 'its end took nothing from the other one')
  assert.deepEqual((await listParts(db)).map(({ kind, taskId, outcome }) => [kind, taskId, outcome]).sort(), [
    ['hook', second!.id, 'done'],
    ['queue', second!.id, null],
  ])

  writeFileSync(join(b.runtime, 'go'), '')
  assert.equal(await onB.ended, 0, onB.output())
  assert.deepEqual(said(b).filter(line => line.startsWith('done:')).length, 15)
  assert.equal(new Set([...said(b), ...said(a)].filter(line => line.startsWith('done:'))).size, 17)
  assert.deepEqual(await queueStand(db, 'slow'), { waiting: 0, aside: 0, oldestAt: null })
  assert.equal((await readCron(db)).lock, null)
})

const said = ({ runtime }: Scene): string[] => {
  const path = join(runtime, 'cron-witness')
  return existsSync(path)
    ? readFileSync(path, 'utf8')
        .trim()
        .split('\n')
        .map(line => line.split(' ')[0]!)
    : []
}

const runCron = (
  t: TestContext,
  { runtime, config }: Scene,
  id: number,
): { child: ChildProcess; ended: Promise<number | null>; output(): string } => {
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, BGTASK_RUNTIME: runtime, BGTASK_MODULES: config.modules, DATABASE_URL: config.databaseUrl }
  const child = spawn(process.execPath, [launcher, 'core/cron', String(id)], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  return { child, ended: new Promise(resolve => child.once('close', resolve)), output: () => output }
}
