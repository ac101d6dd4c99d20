import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { reloadLoop } from '../../app/api/reload-loop.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { residentsOf } from './residents-of.ts'

describe('resident runners', () => {
  let scene: Scene
  const cleanUp: (() => unknown)[] = []
  before(async () => {
    scene = await makeScene({ after: (work: () => unknown) => cleanUp.push(work) } as never)
    await scene.supervise()
  })
  after(async () => {
    for (const work of cleanUp) await work()
  })

  const { add, addMany, begun, cancel, ended, handedOver, lastRun, outputOf, pidOf, residents, witness, witnessed } = residentsOf(
    () => scene,
  )

  test('tasks are run by one process, which keeps its connection, and each run says the so-manieth it was', async () => {
    const ids = await addMany(
      'one',
      Array.from({ length: 20 }, () => ({ do: 'count connections' })),
    )
    for (const id of ids) assert.equal((await ended(id)).content, 'the same')
    const runs = await Promise.all(ids.map(lastRun))
    assert.equal(new Set(runs.map(run => run.pid)).size, 1)
    assert.deepEqual(
      runs.map(run => run.residentTask),
      ids.map((_, index) => index + 1),
    )
    assert.ok(runs.every(run => run.outcome === 'succeeded' && run.exitCode === 0 && run.endedAt !== null))
    assert.ok(!existsSync(join(scene.runtime, 'runs', `${ids[0]}-1`)), 'a run that says nothing has no folder')
  })

  test('what a task returns, throws, or says of its failure is its outcome; the process goes on', async () => {
    const [said, failed, threw, next] = await addMany('one', [
      { do: 'say', text: 'done' },
      { do: 'fail', text: 'no' },
      { do: 'throw', text: 'oh' },
      { do: 'say', text: 'next' },
    ])
    assert.deepEqual([(await ended(said!)).state, (await ended(said!)).content], ['succeeded', 'done'])
    assert.deepEqual([(await ended(failed!)).state, (await ended(failed!)).content], ['failed', 'no'])
    assert.deepEqual([(await ended(threw!)).state, (await ended(threw!)).content], ['failed', 'oh'])
    assert.match(outputOf(threw!)!, /Error: oh/)
    assert.equal((await ended(next!)).content, 'next')
    assert.equal((await lastRun(next!)).pid, (await lastRun(said!)).pid)
  })

  test('cancel reaches a task that has been handed over and not begun', async () => {
    // The first ones are so quick that more are handed over than can begin.
    const quick = await addMany(
      'one',
      Array.from({ length: 200 }, () => ({})),
    )
    // One after another: two hundred that ask at once keep the database from all others.
    for (const id of quick) await ended(id)
    const first = await add('one', { do: 'wait for the signal', witness: witness() })
    const second = await add('one', { do: 'nothing', witness: witness() })
    await begun(first)
    await cancel(second)
    assert.equal((await ended(second)).state, 'cancelled')
    assert.ok(!witnessed().some(line => line.startsWith(`begin ${second} `)))
    await cancel(first)
    await ended(first)
  })

  test('what a listener of the signal prints is output of its task, and what it throws takes no other with it', async () => {
    const [says, throws, other] = await addMany('three', [
      { do: 'say at the signal', text: 'one', witness: witness() },
      { do: 'throw at the signal', text: 'oh no', witness: witness() },
      { do: 'say at the signal', text: 'the other', witness: witness() },
    ])
    for (const id of [says!, throws!, other!]) await begun(id)
    await cancel(says!)
    assert.equal((await ended(says!)).state, 'cancelled')
    assert.match(outputOf(says!)!, /^one heard it\n.* INFO heard it too\n/)
    await cancel(throws!)
    assert.equal((await ended(throws!)).state, 'cancelled')
    await cancel(other!)
    assert.equal((await ended(other!)).state, 'cancelled')
    assert.match(outputOf(other!)!, /^the other heard it\n/)
    for (const id of [throws!, other!]) assert.equal((await scene.runs(id)).length, 1)
  })

  test('the process sleeps while its tasks wait, with others behind them and without', async () => {
    const sleeps = await add('one', { do: 'watch the event loop' })
    assert.equal((await ended(sleeps)).content, 'it slept')
    // The first ones are so quick that those behind the one that watches are handed over too.
    const now = join(scene.runtime, 'watch-now')
    const ids = await addMany('one', [
      ...Array.from({ length: 200 }, () => ({})),
      { do: 'watch the event loop', text: now },
      ...Array.from({ length: 20 }, () => ({})),
    ])
    const [watches, ...behind] = ids.slice(200)
    await until('some wait their turn in it', () => behind.some(id => handedOver().includes(`"id":${id},`)), 30_000)
    writeFileSync(now, '')
    assert.equal((await ended(watches!)).content, 'it slept')
    for (const id of behind) await ended(id)
  })

  test('a stopped process is noticed and named, and goes on where it was', { timeout: 60_000 }, async () => {
    const go = join(scene.runtime, 'go-on')
    const id = await add('one', { do: 'watch the event loop', text: go, witness: witness() })
    const pid = await pidOf(id)
    process.kill(pid, 'SIGSTOP')
    await until('it is noticed', () => residents().some(one => one.pid === pid && one.blockedSince !== null))
    assert.match(scene.supervisorLog(), new RegExp(`resident ${pid} .* gives no sign of life`))
    process.kill(pid, 'SIGCONT')
    writeFileSync(go, '')
    assert.equal((await ended(id)).state, 'succeeded')
    assert.equal((await scene.runs(id)).length, 1)
  })

  test('two processes share the work when one has its hands full', async () => {
    const ids = await addMany(
      'pair',
      Array.from({ length: 4 }, () => ({ do: 'wait', ms: 700 })),
    )
    for (const id of ids) await ended(id)
    assert.equal(new Set((await Promise.all(ids.map(lastRun))).map(run => run.pid)).size, 2)
  })

  test('what a task started goes with the process', async () => {
    const id = await add('brief', { do: 'leave a child' })
    const child = Number((await ended(id)).content!.split(' ')[1])
    await until('its process has gone', () => residents().every(one => one.action !== 'test/resident/brief'))
    await until('and the child too', () => !existsSync(`/proc/${child}`) || readFileSync(`/proc/${child}/stat`, 'latin1').includes(') Z'))
  })

  test('an unique key, a failed try and a due time work as with any task', async () => {
    const first = await add('one', { do: 'wait for the signal', witness: witness() }, { unique: 'resident-key' })
    await begun(first)
    const second = await add('one', { do: 'say', text: 'newer' }, { unique: 'resident-key', onConflict: 'replace' })
    assert.equal((await ended(first)).state, 'cancelled')
    assert.equal((await ended(second)).content, 'newer')
    const again = await add('one', { do: 'throw', text: 'again' }, { maxAttempts: 2 })
    await ended(again)
    assert.equal((await scene.runs(again)).length, 2)
    const later = await add('one', { do: 'say', text: 'later' }, { delayMs: 300 })
    assert.equal((await ended(later)).content, 'later')
  })

  test('reload: it finishes what it has begun, and the next task finds a fresh process', async () => {
    const go = join(scene.runtime, 'go-to-the-end')
    const long = await add('three', { do: 'watch the event loop', text: go, witness: witness() })
    const pid = await pidOf(long)
    await reloadLoop(scene.config, { by: 'test' })
    await until('it leaves', () => residents().some(one => one.pid === pid && one.state === 'leaving'))
    const next = await add('three')
    await ended(next)
    assert.notEqual((await lastRun(next)).pid, pid)
    writeFileSync(go, '')
    assert.equal((await ended(long)).state, 'succeeded')
    assert.equal((await scene.runs(long)).length, 1)
  })

  test('an action that does not load has its tasks fail in processes of their own, which say why', async t => {
    const { cpSync, mkdtempSync, writeFileSync, mkdirSync, rmSync } = await import('node:fs')
    const { tmpdir } = await import('node:os')
    const folder = mkdtempSync(join(tmpdir(), 'bgtask-resident-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    mkdirSync(join(folder, 'my'))
    // It is described well, and breaks when it is loaded to be run.
    const broken = `if (process.env.BGTASK_RUN) throw new Error('only when run')
export default { isolation: 'resident', execute() {} }\n`
    writeFileSync(join(folder, 'my', 'broken.ts'), broken)
    cpSync(join(import.meta.dirname, '..', 'fixtures', 'actions', 'test', 'ok.ts'), join(folder, 'my', 'ok.ts'))
    const other = await makeScene(t, { env: { BGTASK_ACTIONS: folder } })
    const supervising = await other.supervise()
    const { id } = await other.background.addTask('my/broken')
    const task = await other.untilState(id, 'failed', 30_000)
    assert.match(task.content!, /only when run/)
    assert.equal((await other.runs(id))[0]!.residentTask, null)
    await supervising.stop()
  })
})
