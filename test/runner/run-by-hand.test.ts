import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { inPackage } from '../../app/paths.ts'
import type { Ticket } from '../../app/runs/ticket.ts'
import { sharedCompileCache } from '../helpers/shared-compile-cache.ts'
import { ticketOf } from './spawn-run.ts'

describe('a run by hand', () => {
  it('prints into the terminal, says how it ended and leaves with 0', async () => {
    const { code, stdout, stderr } = await byHand('test/prints-a-lot', { ticket: { params: { lines: 3 } } }).end()
    assert.deepEqual([code, stdout, stderr], [0, 'line 1\nline 2\nline 3\n', 'test/prints-a-lot 7 succeeded: 3 lines\n'])
  })

  it('leaves with 1 and the stack when the action throws, and when nobody caught it', async () => {
    for (const [action, message] of [
      ['test/throws', 'thrown on purpose'],
      ['test/unhandled-rejection', 'nobody caught this'],
      ['test/uncaught-exception', 'thrown out of a timer'],
    ] as const) {
      const { code, stderr } = await byHand(action).end()
      assert.equal(code, 1)
      assert.match(stderr, new RegExp(`Error: ${message}\\n +at `))
      assert.match(stderr, new RegExp(`${action} 7 failed: ${message}\\n$`))
    }
  })

  it('says so when the action leaves the process', async () => {
    const { code, stderr } = await byHand('test/exits-3').end()
    assert.equal(code, 3)
    assert.match(stderr, /test\/exits-3 7 exited: The process left with exit code 3 before its action had ended\.\n$/)
  })

  it('ends after the iteration by Ctrl-C, and at once by a second one', async () => {
    const once = byHand('test/forever')
    await once.says('iteration')
    once.process.kill('SIGINT')
    const first = await once.end()
    assert.equal(first.code, 0)
    assert.match(first.stderr, /bgtask: asked to stop; once more ends it at once\ntest\/forever 7 interrupted: stopped after \d+ iteration/)

    const twice = byHand('test/hangs')
    await twice.says('hanging')
    twice.process.kill('SIGINT')
    await twice.says('asked to stop')
    twice.process.kill('SIGINT')
    assert.equal((await twice.end()).code, 130)
  })

  it('ends a loop after as many iterations as it is given', async () => {
    const { code, stdout, stderr } = await byHand('test/forever', { options: { iterationLimit: 2 } }).end()
    assert.equal(code, 0)
    assert.equal(stdout.trim().split('\n').length, 2)
    assert.match(stderr, /test\/forever 7 succeeded: ended after 2 iterations\n$/)
  })

  it('writes nothing into the runtime folder', async () => {
    const run = byHand('test/progress', { ticket: { params: { total: 3 } } })
    assert.equal((await run.end()).code, 0)
    assert.deepEqual(existsSync(run.runtime) ? readdirSync(run.runtime) : [], [])
  })

  it('gives the action the same environment variables for its folders as a supervised run', async () => {
    const run = byHand('test/shows-environment')
    assert.match((await run.end()).stdout, new RegExp(`^BGTASK_RUNTIME=${run.runtime}$`, 'm'))
  })
})

interface ByHand {
  process: ChildProcess
  runtime: string
  says(text: string): Promise<void>
  end(): Promise<{ code: number | null; stdout: string; stderr: string }>
}

/** A program that does what the command line does once it has read the task's row. */
const byHand = (action: string, { ticket = {}, options = {} }: { ticket?: Partial<Ticket>; options?: object } = {}): ByHand => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-by-hand-'))
  const runtime = join(folder, 'runtime')
  const program = join(folder, 'program.mjs')
  writeFileSync(
    program,
    `import { runByHand } from ${JSON.stringify(inPackage('app', 'runner', 'run-by-hand.ts'))}
const outcome = await runByHand(${JSON.stringify(ticketOf(action, ticket))}, ${JSON.stringify(options)})
process.exit(outcome.kind === 'succeeded' || outcome.kind === 'interrupted' ? 0 : 1)`,
  )
  const child = spawn(process.execPath, [program], {
    env: { PATH: process.env.PATH, BGTASK_RUNTIME: runtime, ...sharedCompileCache() },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const close = once(child, 'close') as Promise<[number | null]>
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', piece => (stdout += piece))
  child.stderr.on('data', piece => (stderr += piece))
  return {
    process: child,
    runtime,
    async says(text) {
      while (!(stdout + stderr).includes(text)) await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data')])
    },
    async end() {
      const [code] = await close
      return { code, stdout, stderr }
    },
  }
}
