import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { freePort } from '../helpers/free-port.ts'
import { cloneImpossible, Machine, oldNode, type Run } from './fresh-clone.ts'

const old = oldNode()
const noOldNode = !old && 'no Node below 24 on PATH to try this with'

describe('a fresh clone', { skip: cloneImpossible() }, () => {
  let machine: Machine
  before(() => {
    machine = new Machine()
  })
  after(() => machine.remove())

  describe('with an old Node', { skip: noOldNode }, () => {
    let clone: string
    let bin: string
    before(() => {
      clone = machine.clone('with spaces/a new user')
      bin = machine.nodeFolder(old ?? '')
    })

    test('index.js alone says which Node it needs, which it found, and what brings one', async () => {
      const { code, output } = await machine.run('node', [join(clone, 'index.js'), 'serve'], { cwd: clone, bin }).ended
      assert.equal(code, 78, output)
      assert.match(output, /^bgtask: Node >= 24 is needed, and this is Node \d+\.\d+\.\d+ .*`npm start` brings a newer one.*\n$/)
    })

    test('says so in a sentence when npm does not reach its registry', async () => {
      const env = {
        npm_config_registry: 'http://127.0.0.1:9/',
        npm_config_fetch_retries: '0',
        npm_config_cache: join(machine.folder, 'home', 'empty'),
      }
      const { code, output } = await machine.run('npm', ['start'], { cwd: clone, bin, env }).ended
      assert.equal(code, 78, output)
      assert.match(output, /^bgtask: .* npm does not reach its registry\. Check the network/m)
    })

    test('says so in a sentence when the folder is not writable', { skip: !process.getuid && 'no users here' }, async () => {
      chmodSync(clone, 0o555)
      const { code, output } = await machine.run('npm', ['start'], { cwd: clone, bin }).ended
      chmodSync(clone, 0o755)
      assert.equal(code, 78, output)
      assert.match(output, /^bgtask: The set-up cannot write to .*a new user \(EACCES\)\. Make the folder writable/m)
    })

    test('two first `npm start` at once bring Node and the packages, and both serve; SIGTERM ends them', async () => {
      const ports = [await freePort(), await freePort()]
      const runs = ports.map(port => machine.run('npm', ['start'], { cwd: clone, bin, env: { PORT: String(port) } }))
      await Promise.all(runs.map((run, index) => serves(run, ports[index] ?? 0)))
      const installations = runs.map(run => run.output.match(/installing the packages/g)?.length ?? 0)
      assert.equal(installations[0]! + installations[1]!, 1, 'one of the two installs, the other one waits for it')
      assert.ok(existsSync(join(clone, 'scripts', 'node', 'node_modules')))
      assert.ok(!existsSync(join(clone, 'node_modules', 'typescript')), 'what only the tests need is not installed')
      for (const run of runs) await endsBy('SIGTERM', run)
    })

    test('a second `npm start` is up in 2 s and installs nothing', async () => {
      const took: number[] = []
      // A machine that is busy for a moment gets another try.
      while (took.length < 8 && !took.some(ms => ms < 2000)) {
        const port = await freePort()
        const started = performance.now()
        const run = machine.run('npm', ['start'], { cwd: clone, bin, env: { PORT: String(port) } })
        await serves(run, port)
        took.push(Math.round(performance.now() - started))
        assert.doesNotMatch(run.output, /\[set-up\]/)
        await endsBy('SIGINT', run)
      }
      assert.ok(Math.min(...took) < 2000, `it took ${took} ms`)
    })

    test('index.js started by the old Node goes on with the new one and ends as it ends', async () => {
      const run = machine.run('node', ['index.js', 'no-such-command'], { cwd: clone, bin })
      const { code, output } = await run.ended
      assert.doesNotMatch(output, /Node >= 24/)
      assert.equal(code, 2, output)
    })
  })

  describe('with Node 24', () => {
    let clone: string
    let bin: string
    before(() => {
      clone = machine.clone('twenty four')
      bin = machine.nodeFolder(process.execPath)
    })

    test('`npm --prefix` from another folder serves, and no other Node is brought', async () => {
      const port = await freePort()
      const elsewhere = join(machine.folder, 'elsewhere')
      const run = machine.run('npm', ['--prefix', clone, 'start'], { cwd: elsewhere, bin, env: { PORT: String(port) } })
      await serves(run, port)
      assert.ok(!existsSync(join(clone, 'scripts', 'node', 'node_modules')))
      await endsBy('SIGTERM', run)
    })

    test('a set-up that was killed half-way is done again', async () => {
      rmSync(join(clone, 'node_modules', '.bgtask-setup'))
      rmSync(join(clone, 'node_modules', '.package-lock.json'))
      const killed = machine.run('npm', ['start'], { cwd: clone, bin })
      await killed.says('installing the packages')
      process.kill(-(killed.child.pid ?? 0), 'SIGKILL')
      await killed.ended
      const port = await freePort()
      const run = machine.run('npm', ['start'], { cwd: clone, bin, env: { PORT: String(port) } })
      await serves(run, port)
      assert.match(run.output, /installing the packages/)
      await endsBy('SIGTERM', run)
    })

    test('`npm test` adds what the tests need, and `npm start` keeps it', async () => {
      const tests = await machine.run('npm', ['test', '--', 'no-such-test-file'], { cwd: clone, bin }).ended
      assert.equal(tests.code, 78, tests.output)
      assert.match(tests.output, /No test file matches no-such-test-file/)
      assert.ok(existsSync(join(clone, 'node_modules', 'typescript')))
      const port = await freePort()
      const run = machine.run('npm', ['start'], { cwd: clone, bin, env: { PORT: String(port) } })
      await serves(run, port)
      assert.doesNotMatch(run.output, /\[set-up\]/)
      await endsBy('SIGTERM', run)
      assert.ok(existsSync(join(clone, 'node_modules', 'typescript')))
      assert.equal(readFileSync(join(clone, 'package-lock.json'), 'utf8'), readFileSync('package-lock.json', 'utf8'))
    })
  })
})

/** Waits until the address is printed and answers. */
async function serves(run: Run, port: number): Promise<void> {
  await run.says(`http://127.0.0.1:${port}`)
  const response = await fetch(`http://127.0.0.1:${port}/healthz`)
  assert.equal(response.status, 200)
  await response.text()
}

/** A signal to npm alone, as a service manager sends it, ends all; nothing answers any more. */
async function endsBy(signal: 'SIGTERM' | 'SIGINT', run: Run): Promise<void> {
  run.child.kill(signal)
  const { output } = await run.ended
  const [, address] = output.match(/(http:\/\/127\.0\.0\.1:\d+)/) ?? []
  await assert.rejects(fetch(`${address}/healthz`), 'the server still answers')
}
