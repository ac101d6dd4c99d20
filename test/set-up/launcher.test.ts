import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { after, before, describe } from 'node:test'

const root = join(import.meta.dirname, '..', '..')

describe('index.js', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'bgtask-launcher-'))
    put('package.json', '{ "type": "module" }')
    put('app/cli.ts', tells('cli'))
    put('app/runner/main.ts', tells('runner'))
    put('installed/node_modules/bgtask/package.json', '{ "type": "module" }')
    put('installed/node_modules/bgtask/dist/cli.js', tells('installed cli').replace(': string[]', ''))
    for (const at of ['index.js', 'installed/node_modules/bgtask/index.js']) copyFileSync(join(root, 'index.js'), join(folder, at))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  test('hands a command to the program', () => {
    assert.equal(launch(['status', '--json']), 'cli status --json')
  })

  test('hands an action that a supervisor started to the runner at once', () => {
    assert.equal(launch(['report/build', '7'], { BGTASK_RUN_FOLDER: '/run' }), 'runner report/build 7')
  })

  test('hands an action that somebody typed to the program', () => {
    assert.equal(launch(['report/build', '7']), 'cli report/build 7')
  })

  test('takes a command inside of a run for a command, though the run folder is inherited', () => {
    assert.equal(launch(['status'], { BGTASK_RUN_FOLDER: '/run' }), 'cli status')
  })

  test('takes JavaScript when it is installed as a package', () => {
    assert.equal(launch(['status'], {}, 'installed/node_modules/bgtask/index.js'), 'installed cli status')
  })

  test('keeps compiled code below the runtime folder, and makes no such folder itself', () => {
    const runtime = join(folder, 'run time')
    launch(['status'], { BGTASK_RUNTIME: runtime })
    assert.ok(!existsSync(runtime))
    mkdirSync(runtime, { mode: 0o700 })
    launch(['status'], { BGTASK_RUNTIME: runtime })
    assert.ok(existsSync(join(runtime, 'compile-cache')))
    rmSync(join(runtime, 'compile-cache'), { recursive: true })
    launch(['status'], { BGTASK_RUNTIME: 'run time' })
    assert.ok(existsSync(join(runtime, 'compile-cache')), 'a relative one is taken from where index.js lies')
  })

  test('a program run in place of another ends as it ends: by exit code and by signal', async () => {
    const handOver = JSON.stringify(join(root, 'scripts', 'setup', 'hand-over.js'))
    const inPlaceOf = (code: string) => {
      const args = JSON.stringify(['-e', code])
      return ['--input-type=module', '-e', `const { handOver } = await import(${handOver}); await handOver(process.execPath, ${args})`]
    }
    assert.equal(spawnSync(process.execPath, inPlaceOf('process.exit(41)')).status, 41)
    assert.equal(spawnSync(process.execPath, inPlaceOf('process.kill(process.pid, "SIGKILL")')).signal, 'SIGKILL')
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const) {
      const stays = `process.on("${signal}", () => process.exit(42)); setInterval(() => {}, 1000); console.log("up")`
      const child = spawn(process.execPath, inPlaceOf(stays), { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(child.stdout, 'data')
      child.kill(signal)
      assert.deepEqual(await once(child, 'exit'), [42, null], signal)
    }
  })

  function put(path: string, content: string): void {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }

  function launch(args: string[], env: Record<string, string> = {}, launcher = 'index.js'): string {
    const { PATH } = process.env
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, launcher), ...args], {
      env: { PATH, ...env },
      encoding: 'utf8',
      cwd: tmpdir(),
    })
    assert.equal(status, 0, stderr)
    assert.equal(stderr, '', 'no warnings')
    return stdout.trim()
  }
})

const tells = (who: string) => `const args: string[] = process.argv.slice(2)\nconsole.log(${JSON.stringify(who)}, ...args)\n`
