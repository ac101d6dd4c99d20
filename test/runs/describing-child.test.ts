import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { until } from '../helpers/scene.ts'

test('a file that never ends loading does not outlive whoever wanted to know what is in it', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-describing-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const pidFile = join(folder, 'pid')
  const endless = join(folder, 'endless.ts')
  writeFileSync(
    endless,
    `import { writeFileSync } from 'node:fs'\nwriteFileSync(${JSON.stringify(pidFile)}, String(process.pid))\nfor (;;);\n`,
  )
  const asking = `
    import { readDescribingChild } from ${JSON.stringify(join(import.meta.dirname, '../../app/runs/describing-child.ts'))}
    process.on('SIGTERM', () => process.exit(0))
    await readDescribingChild({ actions: [], runtime: ${JSON.stringify(folder)} }, { program: ${JSON.stringify(endless)}, given: [], limitMs: 60_000, onLine: () => {} })`
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', asking], { stdio: 'inherit' })
  await until('the file is loaded', () => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '')
  const pid = Number(readFileSync(pidFile, 'utf8'))
  assert.equal(existsSync(`/proc/${pid}`), true)
  parent.kill('SIGTERM')
  await once(parent, 'exit')
  await until('it is ended', () => !existsSync(`/proc/${pid}`))
})
