import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inPackage } from '../../app/paths.ts'
import { writeStopRequest } from '../../app/runs/stop-file.ts'
import { actionFile, spawnRun } from './spawn-run.ts'

describe('a supervised run', () => {
  it('that returns nothing has succeeded', async () => {
    const { code, outcome } = await (await spawnRun('test/ok')).end()
    assert.equal(code, 0)
    assert.equal(outcome?.kind, 'succeeded')
    assert.equal(outcome.content, null)
    assert.equal(outcome.exitCode, 0)
    assert.equal(outcome.iterations, null)
    assert.ok(outcome.peakMemoryBytes! > 20e6 && outcome.peakMemoryBytes! < 150e6, `peak ${outcome.peakMemoryBytes}`)
    assert.ok(outcome.cpuMs! > 0)
    assert.ok(Math.abs(outcome.endedAt - Date.now()) < 5000)
  })

  it('succeeds with the text it returns, cut at 64 kB between two characters', async () => {
    const short = await (await spawnRun('test/returns-text', { params: { text: 'done ✓' } })).end()
    assert.equal(short.outcome?.content, 'done ✓')
    const long = await (await spawnRun('test/returns-text', { params: { text: '✓'.repeat(100_000) } })).end()
    const content = long.outcome!.content!
    assert.ok(Buffer.byteLength(content) <= 65_536)
    assert.match(content, /✓\n… \(cut: 300000 bytes, of which 65536 are kept\)$/)
    assert.ok(!content.includes('\ufffd'))
  })

  it('that returns failure() has failed with its content', async () => {
    const { code, outcome } = await (await spawnRun('test/fails')).end()
    assert.deepEqual([code, outcome?.kind, outcome?.content, outcome?.error], [1, 'failed', 'it did not work out', null])
  })

  for (const [action, message] of [
    ['test/throws', 'thrown on purpose'],
    ['test/unhandled-rejection', 'nobody caught this'],
    ['test/uncaught-exception', 'thrown out of a timer'],
  ] as const) {
    it(`${action} fails with message and stack, which stand in the output too`, async () => {
      const { code, outcome, output } = await (await spawnRun(action)).end()
      assert.deepEqual([code, outcome?.kind, outcome?.content, outcome?.exitCode], [1, 'failed', message, 1])
      assert.match(outcome!.error!, new RegExp(`${message}\\n +at .*${action}\\.ts:\\d+`))
      assert.ok(output.includes(message))
    })
  }

  it('keeps the cause of what was thrown', async () => {
    const { outcome } = await (await spawnRun('test/throws')).end()
    assert.match(outcome!.error!, /the reason behind it/)
  })

  for (const exitCode of [0, 3, 78]) {
    it(`that leaves with code ${exitCode} and no outcome has exited`, async () => {
      const { code, outcome } = await (await spawnRun(`test/exits-${exitCode}`)).end()
      assert.deepEqual([code, outcome?.kind, outcome?.exitCode], [exitCode, 'exited', exitCode])
    })
  }

  it('that says by an error that it is misconfigured leaves with 78', async () => {
    const { code, outcome } = await (await spawnRun('test/throws-misconfigured')).end()
    assert.deepEqual([code, outcome?.kind, outcome?.exitCode], [78, 'failed', 78])
  })

  it('that awaits what nothing will settle fails instead of passing for exited', async () => {
    const { outcome } = await (await spawnRun('test/awaits-nothing')).end()
    assert.equal(outcome?.kind, 'failed')
    assert.match(outcome.content!, /awaits something that nothing is left to settle/)
  })

  it('whose action cannot be loaded fails with a sentence that names action and file', async () => {
    for (const [name, why] of [
      ['syntax-error', /Expression expected/],
      ['throws-at-import', /thrown while it was loaded/],
      ['no-execute', /exports no execute; write: export async function execute/],
      ['not-there', /Cannot find module/],
    ] as const) {
      const file = inPackage('test', 'fixtures', 'broken', 'broken', `${name}.ts`)
      const { code, outcome } = await (await spawnRun('broken/action', { ticket: { file } })).end()
      assert.deepEqual([code, outcome?.kind], [1, 'failed'], name)
      assert.ok(outcome!.content!.startsWith(`The action broken/action does not load from ${file}: `), outcome!.content!)
      assert.match(outcome!.content!, why)
    }
  })

  it('whose action leaves the process while it is loaded has exited', async () => {
    const file = inPackage('test', 'fixtures', 'broken', 'broken', 'exits-at-import.ts')
    const { outcome } = await (await spawnRun('broken/action', { ticket: { file } })).end()
    assert.deepEqual([outcome?.kind, outcome?.exitCode], ['exited', 3])
  })

  it('calls the execute of a default export', async () => {
    const { outcome } = await (await spawnRun('test/default-export', { ticket: { exportName: 'default' } })).end()
    assert.equal(outcome?.content, 'from the default export')
  })

  it('calls one of several exports, by its own name or by that of the action, and says which is not there', async () => {
    const run = async (exportName: string) =>
      (await (await spawnRun('test/several', { params: { a: 1 }, ticket: { exportName } })).end()).outcome
    assert.deepEqual([(await run('plain'))?.kind, (await run('plain'))?.content], ['succeeded', 'plain got {"a":1}'])
    for (const name of ['withOptions', 'with-options'])
      assert.deepEqual([(await run(name))?.kind, (await run(name))?.content], ['failed', 'with options'])
    for (const name of ['_helper', 'not-there'])
      assert.match((await run(name))!.content!, new RegExp(`does not load from .*several\\.ts: it exports no function ${name}`))
  })

  it('loads a file whose path has spaces, % and #', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bgtask 100% #1 '))
    const file = join(folder, 'action.mjs')
    writeFileSync(file, 'export const execute = () => "found"')
    const { outcome } = await (await spawnRun('test/anywhere', { ticket: { file } })).end()
    rmSync(folder, { recursive: true })
    assert.equal(outcome?.content, 'found')
  })

  it('without a ticket, or with a broken one, leaves with 1 and a sentence', async () => {
    const none = await (await spawnRun('test/ok', { withTicket: false })).end()
    assert.equal(none.code, 1)
    assert.match(none.output, /holds no ticket\.json that can be read/)
    const runtime = mkdtempSync(join(tmpdir(), 'bgtask-runner-'))
    const first = await spawnRun('test/hangs', { runtime })
    first.process.kill('SIGKILL')
    await first.end()
    writeFileSync(join(first.folder, 'ticket.json'), '{"taskId": 7,')
    const torn = await (await spawnRun('test/ok', { runtime, withTicket: false })).end()
    assert.equal(torn.code, 1)
    assert.match(torn.output, /holds no ticket\.json that can be read/)
  })

  it('is over when its action is, whatever was left open', async () => {
    const { outcome, tookMs } = await (await spawnRun('test/leaves-open')).end()
    assert.equal(outcome?.content, 'all done')
    assert.ok(tookMs < 5000, `${tookMs} ms`)
  })

  it('leaves the outcome that lies there already', async () => {
    const run = await spawnRun('test/progress', { params: { total: 3, stepMs: 50 } })
    writeFileSync(join(run.folder, 'outcome.json'), '{"kind":"cancelled"}')
    const { outcome } = await run.end()
    assert.equal(outcome?.kind, 'cancelled')
    assert.deepEqual(
      readdirSync(run.folder).filter(name => name.endsWith('.tmp')),
      [],
    )
  })

  it('tries again to write its outcome as long as that is not possible', async () => {
    const run = await spawnRun('test/progress', { params: { total: 3, stepMs: 200 } })
    while (!run.beat()) await sleep(5)
    renameSync(run.folder, `${run.folder}-away`)
    const said = () => readFileSync(join(`${run.folder}-away`, 'output.log'), 'utf8')
    while (!said().includes('outcome.json cannot be written')) await sleep(5)
    assert.equal(run.process.exitCode, null)
    renameSync(`${run.folder}-away`, run.folder)
    const { code, outcome, output } = await run.end()
    assert.deepEqual([code, outcome?.kind, outcome?.content], [0, 'succeeded', '3 steps'])
    assert.match(output, /outcome\.json cannot be written/)
  })

  it('says when its action is loaded by closing the descriptor it was given for that', async () => {
    const { outcome, output } = await (await spawnRun('test/shows-environment', { environment: { BGTASK_READY_FD: '2' } })).end()
    assert.equal(outcome?.kind, 'succeeded')
    assert.ok(!output.includes('BGTASK_READY_FD'))
  })

  it('prints lines of log with time, level and fields', async () => {
    const { output } = await (await spawnRun('test/logs')).end()
    const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
    assert.match(output, new RegExp(`^${time} INFO plain$`, 'm'))
    assert.match(output, new RegExp(`^${time} INFO with fields count=3 name="two words" list=\\[1,2\\] nothing=null$`, 'm'))
    assert.match(output, new RegExp(`^${time} WARN careful$`, 'm'))
    assert.match(output, new RegExp(`^${time} ERROR broken error="it broke"$`, 'm'))
    assert.match(output, /INFO first\n {2}second$/m)
    assert.match(output, /INFO round loop="\(cannot be shown: /)
  })

  it('tells its action who it is', async () => {
    const { outcome } = await (
      await spawnRun('test/shows-context', {
        params: { a: [1, { b: null }] },
        ticket: { attempt: 2, startedAt: 1234, execType: 'FOREVER' },
      })
    ).end()
    assert.deepEqual(JSON.parse(outcome!.content!), {
      params: { a: [1, { b: null }] },
      task: {
        id: 7,
        uid: 'abcdefghijklmnop',
        action: 'test/shows-context',
        type: 'test',
        creator: 'somebody',
        execType: 'FOREVER',
        attempt: 2,
      },
      run: { number: 3, startedAt: 1234 },
    })
  })

  it('reports progress at most once a second, and the last state at the end', async () => {
    const run = await spawnRun('test/progress', { params: { total: 15, stepMs: 100 } })
    const seen = new Set<number>()
    while (run.process.exitCode === null) {
      const beat = run.beat()
      if (beat) seen.add(beat.at)
      await sleep(10)
    }
    await run.end()
    assert.deepEqual(run.beat()?.progress, { done: 15, total: 15, note: 'step 15' })
    assert.ok(seen.size >= 2 && seen.size <= 4, `${seen.size} writes`)
  })

  it('writes no beat when there is nothing to say', async () => {
    const run = await spawnRun('test/ok')
    await run.end()
    assert.ok(!existsSync(join(run.folder, 'beat.json')))
  })
})

describe('a supervised run that is asked to stop', () => {
  for (const why of ['interrupted', 'cancelled', 'timed-out'] as const) {
    it(`ends as ${why} when that is why, having heard of it by its signal`, async () => {
      const run = await spawnRun('test/progress', { params: { total: 1000 } })
      while (!run.beat()) await sleep(5)
      run.stop(why)
      const { code, outcome } = await run.end()
      assert.deepEqual([outcome?.kind, code], [why, why === 'timed-out' ? 1 : 0])
    })
  }

  it('ends as interrupted when nobody says why', async () => {
    const run = await spawnRun('test/forever', { ticket: { execType: 'FOREVER' } })
    await run.says('iteration')
    run.process.kill('SIGTERM')
    const { code, outcome } = await run.end()
    assert.deepEqual([code, outcome?.kind], [0, 'interrupted'])
    assert.match(outcome!.content!, /^stopped after \d+ iterations?$/)
  })

  it('does not begin when it is asked while its file is loading', async () => {
    const run = await spawnRun('test/loads-slowly', { ticket: { execType: 'FOREVER' } })
    await run.says('loading')
    run.stop('cancelled')
    const { outcome, output } = await run.end()
    assert.equal(outcome?.kind, 'cancelled')
    assert.doesNotMatch(output, /executing/)
  })

  it('has succeeded all the same when it finishes its work with a word', async () => {
    const run = await spawnRun('test/finishes-anyway', { params: { returns: 'the work is done' } })
    await run.says('working')
    run.stop('interrupted')
    const { outcome } = await run.end()
    assert.deepEqual([outcome?.kind, outcome?.content], ['succeeded', 'the work is done'])
  })

  it('has succeeded when it never looked at its signal, and is interrupted when it did and returns nothing', async () => {
    for (const [looks, kind] of [
      [false, 'succeeded'],
      [true, 'interrupted'],
    ] as const) {
      const run = await spawnRun('test/finishes-anyway', { params: { looks } })
      await run.says('working')
      run.stop('interrupted')
      assert.equal((await run.end()).outcome?.kind, kind)
    }
  })

  it('is interrupted too when a ONCE task loops', async () => {
    const run = await spawnRun('test/forever')
    await run.says('iteration')
    run.stop('interrupted')
    assert.equal((await run.end()).outcome?.kind, 'interrupted')
  })

  it('has failed when it throws something else because of that, and keeps the word of a time limit', async () => {
    for (const [why, kind] of [
      ['interrupted', 'failed'],
      ['timed-out', 'timed-out'],
    ] as const) {
      const run = await spawnRun('test/finishes-anyway', { params: { throws: 'the connection broke' } })
      await run.says('working')
      run.stop(why)
      assert.equal((await run.end()).outcome?.kind, kind)
    }
  })

  it('may wait for nothing but its signal', async () => {
    const run = await spawnRun('test/awaits-signal', { ticket: { execType: 'FOREVER' } })
    await run.says('waiting')
    await sleep(200)
    assert.equal(run.process.exitCode, null)
    run.stop('interrupted')
    assert.equal((await run.end()).outcome?.kind, 'interrupted')
  })

  it('is not ended by a second SIGTERM: the iteration under way finishes', async () => {
    const run = await spawnRun('test/slow-iteration', { ticket: { execType: 'FOREVER' } })
    await run.says('begun 1')
    run.stop('interrupted')
    await sleep(100)
    run.process.kill('SIGTERM')
    const { outcome, output } = await run.end()
    assert.equal(outcome?.kind, 'interrupted')
    assert.match(output, /finished 1/)
    assert.doesNotMatch(output, /begun 2/)
  })

  it('ends as exited through process.exit with the word of the stop', async () => {
    const run = await spawnRun('test/exits-on-sigterm')
    await run.says('waiting')
    run.stop('cancelled')
    assert.equal((await run.end()).outcome?.kind, 'cancelled')
  })

  it('leaves no outcome when it does not listen and is killed: that is for who killed it', async () => {
    const run = await spawnRun('test/ignores-sigterm')
    await run.says('ignoring')
    writeStopRequest(run.folder, { why: 'cancelled', at: Date.now(), graceMs: 100, by: null })
    run.process.kill('SIGTERM')
    await run.says('SIGTERM ignored')
    run.process.kill('SIGKILL')
    const { signal, outcome } = await run.end()
    assert.deepEqual([signal, outcome], ['SIGKILL', null])
  })
})

describe('the fixtures', () => {
  it('are all there by name', () => {
    for (const name of ['flood', 'stalls', 'witness-loop', 'witness-once', 'crashes-after-1200ms', 'blocks-event-loop', 'prints-a-lot']) {
      assert.ok(existsSync(actionFile(`test/${name}`)), name)
    }
  })
})
