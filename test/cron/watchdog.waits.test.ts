import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { askCron } from '../../app/api/ask-cron.ts'
import { readCron } from '../../app/store/cron.ts'
import { listParts } from '../../app/store/cron-parts.ts'
import { makeScene } from '../helpers/scene.ts'

describe('the watchdog of cron', { timeout: 120_000 }, () => {
  test('ends a process whose thread is held up, and says by what', async t => {
    const { child, ended } = await watched(t, 'spins')
    const { output } = await ended
    assert.deepEqual([child.signalCode, output.includes('\ndone')], ['SIGKILL', false])
    assert.match(output, /bgtask: the test holds up the process for more than 0\.1 s; the process is ended/)
  })

  test('lets one live that is over its time but yields, and one whose work is over', async t => {
    const { child, ended } = await watched(t, 'yields')
    const rests = await watched(t, 'rests')
    assert.deepEqual([(await rests.ended).output, rests.child.exitCode], ['watched\ndone\n', 0])
    // By now the other one has been over its time for two seconds.
    assert.equal(child.exitCode ?? child.signalCode, null)
    child.stdin!.end()
    assert.deepEqual([(await ended).output, child.exitCode], ['watched\ndone\n', 0])
  })

  test('lets one live that was stopped by SIGSTOP for longer than its time, and goes on', async t => {
    const { child, ended } = await watched(t, 'yields')
    child.kill('SIGSTOP')
    const paused = await watched(t, 'rests')
    await paused.ended
    child.kill('SIGCONT')
    // The dog, which wakes up late, has looked once more by the time another one has come to its end.
    const after = await watched(t, 'rests')
    await after.ended
    assert.equal(child.exitCode ?? child.signalCode, null)
    child.stdin!.end()
    assert.deepEqual([(await ended).output, child.exitCode], ['watched\ndone\n', 0])
  })

  test('in a cron run: a hook that never yields costs one process, and the next run does all the rest', async t => {
    const modules = join(import.meta.dirname, '..', 'fixtures', 'modules', 'spins')
    const scene = await makeScene(t, { env: { BGTASK_MODULES: modules } })
    await scene.supervise()
    const { task } = await askCron(scene.background, { creator: 'the test' })
    const ended = await scene.untilState(task.id, ['succeeded', 'failed'], 60_000)
    assert.deepEqual([ended.state, ended.content], ['succeeded', '3 hooks, 0 items done.'])
    assert.deepEqual(
      (await scene.runs(task.id)).map(({ number, outcome }) => [number, outcome]),
      [
        [2, 'succeeded'],
        [1, 'killed'],
      ],
    )
    const parts = await listParts(scene.background.db)
    assert.deepEqual(parts.map(({ name, number, outcome }) => [name, number, outcome]).sort(), [
      ['other', 1, 'done'],
      ['spins', 2, 'done'],
      ['then', 2, 'done'],
    ])
    assert.equal((await readCron(scene.background.db)).lock, null)
  })
})

const watched = async (t: TestContext, kind: string): Promise<{ child: ChildProcess; ended: Promise<{ output: string }> }> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'watched.ts'), kind], { stdio: 'pipe' })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const ended = once(child, 'close').then(() => ({ output }))
  while (!output.includes('watched') && child.exitCode === null && child.signalCode === null) await delay(10)
  return { child, ended }
}
