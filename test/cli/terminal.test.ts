import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { displayWidth } from '../../app/cli/display-width.ts'
import { launcher } from '../../app/paths.ts'
import { makeScene } from '../api/scene.ts'
import { run } from './run.ts'

// script(1) of util-linux gives a pseudo-terminal.
const skip = spawnSync('script', ['--version']).error ? 'script(1) is not there' : false

/** Types each answer when its question has appeared. */
const onTerminal = (
  env: NodeJS.ProcessEnv,
  command: string,
  answers: [RegExp, string][] = [],
): Promise<{ shown: string; code: number | null }> =>
  new Promise(resolve => {
    const child = spawn('script', ['-qec', `stty cols 70; ${command}`, '/dev/null'], {
      env: { ...env, TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    let shown = ''
    let answered = 0
    child.stdout.on('data', (piece: Buffer) => {
      shown += piece.toString()
      const next = answers[answered]
      if (next?.[0].test(shown)) {
        answered++
        child.stdin.write(next[1])
      }
    })
    child.once('close', code => resolve({ shown, code }))
  })

const node = (...args: string[]) => [process.execPath, launcher, ...args].map(part => `'${part}'`).join(' ')

test('a password is asked for twice, and never shown', { skip }, async t => {
  const { env } = await makeScene(t)
  const password = 'seven blue herons'
  const added = await onTerminal(env, node('user', 'add', 'kim'), [
    [/Password for kim: /, `seven blux\u007fe herons\r`],
    [/Once more: /, `${password}\r`],
  ])
  assert.equal(added.code, 0, added.shown)
  assert.match(added.shown, /User kim is added/)
  assert.ok(!added.shown.includes('seven'))
  const differs = await onTerminal(env, node('user', 'passwd', 'kim'), [
    [/Password for kim: /, 'one long password\r'],
    [/Once more: /, 'another password\r'],
  ])
  assert.equal(differs.code, 1)
  assert.match(differs.shown, /not the same; nothing was changed/)
  const given = await onTerminal(env, node('user', 'passwd', 'kim'), [[/Password for kim: /, '\u0003']])
  assert.match(given.shown, /Given up; nothing was changed/)
})

test('tables are cut to the terminal', { skip }, async t => {
  const { env } = await makeScene(t)
  await run(env, 'add', 'test/plain', JSON.stringify({ text: '好'.repeat(100) }), '--type', 'x'.repeat(60))
  const { shown } = await onTerminal(env, node('records'))
  const lines = shown.trim().split(/\r?\n/)
  assert.equal(lines.length, 3)
  for (const line of lines) assert.ok(displayWidth(line) <= 70, `${displayWidth(line)}: ${line}`)
  assert.ok(!(await run(env, 'records')).stdout.includes('…'))
})
