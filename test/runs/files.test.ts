import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { takeLock } from '../../app/runs/locks.ts'
import { type RunEnd, readOutcome, writeOutcome } from '../../app/runs/outcome-file.ts'
import { bootId, findMarked, identify, isAlive, markOf, readStat } from '../../app/runs/process-identity.ts'
import { readOutput } from '../../app/runs/read-output.ts'
import { runEnvironment } from '../../app/runs/run-environment.ts'
import { prepareRuntimeFolder } from '../../app/runs/runtime-folder.ts'
import { readJson, writeJson } from '../../app/runs/write-file.ts'
import { until } from '../helpers/scene.ts'

describe('the files of a run', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'bgtask-files-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  test('a file that is replaced is never seen half, also when its writer is killed', async () => {
    const path = join(folder, 'state.json')
    const writer = join(folder, 'writer.ts')
    writeFileSync(
      writer,
      `import { writeJson } from ${JSON.stringify(join(import.meta.dirname, '../../app/runs/write-file.ts'))}
       for (let n = 0; ; n++) writeJson(${JSON.stringify(path)}, { n, filler: 'x'.repeat(20_000 + (n % 7)) })`,
    )
    for (let kill = 0; kill < 25; kill++) {
      const child = spawn(process.execPath, [writer], { stdio: 'ignore' })
      const before = readJson<{ n: number }>(path)
      await until('it has written', () => readJson<{ n: number }>(path)?.n !== before?.n)
      child.kill('SIGKILL')
      await new Promise(resolve => child.once('exit', resolve))
      assert.doesNotThrow(() => JSON.parse(readFileSync(path, 'utf8')))
    }
    assert.equal(statSync(path).mode & 0o777, 0o600)
  })

  test('of two who say how a run ended the first is believed', () => {
    const path = join(folder, 'outcome.json')
    const end = { kind: 'succeeded', content: 'first' } as RunEnd
    assert.equal(writeOutcome(path, end), true)
    assert.equal(writeOutcome(path, { ...end, kind: 'killed', content: 'second' }), false)
    assert.equal(readOutcome(path)!.content, 'first')
    assert.deepEqual(
      readdirSync(folder).filter(name => name.endsWith('.tmp') && name.startsWith('outcome')),
      [],
    )
  })

  test('a torn or foreign file is no outcome', () => {
    const path = join(folder, 'torn.json')
    for (const text of ['', '{"kind":', 'null', '7']) {
      writeFileSync(path, text)
      assert.equal(readJson(path), null)
    }
    assert.equal(readJson(join(folder, 'absent.json')), null)
    writeJson(path, { fine: true })
    assert.deepEqual(readJson(path), { fine: true })
  })

  test('output is read on from where one was, by whole characters, and from the start after it was cut', () => {
    const run = mkdtempSync(join(folder, 'run-'))
    const path = join(run, 'output.log')
    appendFileSync(path, 'one\n汉')
    const first = readOutput(run, { from: 0 })
    assert.equal(first.text, 'one\n汉')
    appendFileSync(path, Buffer.from('字').subarray(0, 2))
    const half = readOutput(run, { from: first.to })
    assert.deepEqual([half.text, half.to], ['', first.to])
    appendFileSync(path, Buffer.from('字').subarray(2))
    assert.equal(readOutput(run, { from: first.to }).text, '字')
    truncateSync(path, 0)
    appendFileSync(path, 'new')
    assert.equal(readOutput(run, { from: first.to }).text, 'new')
    appendFileSync(path, '\nlast line\n')
    assert.equal(readOutput(run, { maxBytes: 12 }).text, 'last line\n')
  })

  test('output in any pieces reads as the whole', () => {
    const run = mkdtempSync(join(folder, 'pieces-'))
    const path = join(run, 'output.log')
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 5 }), { maxLength: 20 }),
        fc.integer({ min: 4, max: 16 }),
        (texts, maxBytes) => {
          writeFileSync(path, texts.join('').toWellFormed())
          let read = ''
          for (let from = 0; ; ) {
            const piece = readOutput(run, { from, maxBytes })
            if (piece.to === from) break
            read += piece.text
            from = piece.to
          }
          assert.equal(read, texts.join('').toWellFormed())
        },
      ),
    )
  })

  test('a lock is held by the child that inherited it, after its parent was killed, and by nobody when that child is dead', async () => {
    const path = join(folder, 'task.lock')
    const parent = join(folder, 'parent.ts')
    writeFileSync(
      parent,
      `import { spawn } from 'node:child_process'
       import { takeLock } from ${JSON.stringify(join(import.meta.dirname, '../../app/runs/locks.ts'))}
       const lock = await takeLock(${JSON.stringify(path)})
       const child = spawn('sleep', ['60'], { detached: true, stdio: ['ignore', 'ignore', 'ignore', lock.descriptor] })
       console.log(child.pid)
       setInterval(() => {}, 1000)`,
    )
    const process_ = spawn(process.execPath, [parent], { stdio: ['ignore', 'pipe', 'inherit'] })
    const pid = await new Promise<number>(resolve => process_.stdout.once('data', text => resolve(Number(text))))
    assert.equal(await takeLock(path), null, 'held by both')
    process_.kill('SIGKILL')
    await new Promise(resolve => process_.once('exit', resolve))
    readFileSync(path) // reading the file must not drop it
    assert.equal(await takeLock(path), null, 'held by the child')
    process.kill(pid, 'SIGKILL')
    const lock = await until('it is free', () => takeLock(path))
    assert.equal(await takeLock(path), null, 'held by us')
    lock.close()
  })

  test('a process is known by its pid and start, a zombie is dead, and a mark is found wherever its bearer goes', async () => {
    const mark = `test/${process.pid}-1/abc`
    const child = spawn('setsid', ['sh', '-c', 'sleep 60'], { env: { PATH: process.env.PATH!, BGTASK_RUN: mark } })
    const found = await until('the marked ones', () => {
      const all = findMarked(other => other === mark)
      return all.length ? all : null
    })
    const identity = found[0]!.identity
    assert.equal(markOf(identity.pid), mark)
    assert.equal(isAlive(identity), true)
    assert.equal(isAlive({ ...identity, startTicks: identity.startTicks + 1 }), false)
    assert.equal(isAlive({ ...identity, bootId: 'another' }), false)
    for (const { identity: one } of findMarked(other => other === mark)) process.kill(one.pid, 'SIGKILL')
    await until('it is dead', () => !isAlive(identity))
    child.kill('SIGKILL')
    // perl forks a child and never waits for it: a zombie.
    const parent = spawn('perl', ['-e', '$| = 1; my $pid = fork; exit 0 unless $pid; print "$pid\\n"; sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const zombie = await new Promise<number>(resolve => parent.stdout.once('data', text => resolve(Number(text))))
    await until('it is a zombie', () => readStat(zombie)?.state === 'Z')
    assert.equal(identify(zombie), null)
    assert.equal(isAlive({ pid: zombie, startTicks: readStat(zombie)!.startTicks, bootId: bootId() }), false)
    parent.kill('SIGKILL')
  })

  test('a run’s environment holds no secret of ours', () => {
    const parent = {
      PATH: '/bin',
      HOME: '/h',
      DATABASE_URL: 'mysql://u:canary@h/d',
      BGTASK_ADMIN_PASSWORD: 'canary',
      SESSION_SECRET: 'canary',
      MINE: 'wanted',
    }
    const env = runEnvironment(
      { runtime: '/r', actions: ['/a', '/b'], childEnv: ['MINE', 'ABSENT'] },
      { mark: 'm', runFolder: '/r/runs/1-1' },
      parent,
    )
    assert.deepEqual(env, {
      PATH: '/bin',
      HOME: '/h',
      MINE: 'wanted',
      BGTASK_RUNTIME: '/r',
      BGTASK_ACTIONS: '/a:/b',
      BGTASK_RUN: 'm',
      BGTASK_RUN_FOLDER: '/r/runs/1-1',
    })
  })

  test('the runtime folder is made for its owner alone, and one that is a link is refused', () => {
    const runtime = join(folder, 'deep', 'runtime')
    prepareRuntimeFolder(runtime)
    assert.equal(statSync(runtime).mode & 0o777, 0o700)
    const link = join(folder, 'link')
    assert.equal(spawnSync('ln', ['-s', runtime, link]).status, 0)
    assert.throws(() => prepareRuntimeFolder(link), /symbolic link/)
    const file = join(folder, 'file')
    writeFileSync(file, '')
    assert.throws(() => prepareRuntimeFolder(join(file, 'runtime')), /cannot be written .* chown/)
  })
})
