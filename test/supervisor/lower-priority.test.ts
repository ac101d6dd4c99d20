import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { getPriority } from 'node:os'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { lowerPriority } from '../../app/supervisor/lower-priority.ts'

test('a child is nicer than a supervisor that is nice itself, and never the other way about', () => {
  const program = `
    import { spawn } from 'node:child_process'
    import { getPriority } from 'node:os'
    import { lowerPriority } from ${JSON.stringify(fileURLToPath(import.meta.resolve('../../app/supervisor/lower-priority.ts')))}
    const child = spawn('sleep', ['60'])
    lowerPriority(child.pid, 5)
    console.log(JSON.stringify([getPriority(), getPriority(child.pid)]))
    child.kill('SIGKILL')`
  const niceness = (by: number) => {
    const { stdout, stderr } = spawnSync('nice', ['-n', String(by), process.execPath, '--input-type=module', '-e', program], {
      encoding: 'utf8',
    })
    assert.equal(stderr, '')
    return JSON.parse(stdout) as [number, number]
  }
  const own = getPriority()
  assert.deepEqual(niceness(7), [Math.min(19, own + 7), Math.min(19, own + 12)])
  assert.deepEqual(niceness(19), [19, 19])
})

test('a process that is dead is nothing to complain of', async () => {
  const child = spawn('sleep', ['60'])
  child.kill('SIGKILL')
  await new Promise(resolve => child.once('exit', resolve))
  lowerPriority(child.pid!, 5)
})
