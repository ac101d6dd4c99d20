import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const root = join(import.meta.dirname, '..', '..', '..')
const modules = join(root, 'node_modules')

const checks = {
  'type check': [join(modules, 'typescript', 'bin', 'tsc'), '-p', '.'],
  lint: [join(modules, '@biomejs', 'biome', 'bin', 'biome'), 'check', '.'],
}

/**
 * A check of the whole code, counted as one test.
 * @param {keyof checks} name
 * @returns {Promise<import('./run-file.js').FileResult>}
 */
export async function runCheck(name) {
  const started = performance.now()
  const child = spawn(process.execPath, checks[name], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise(resolve => child.once('close', resolve))
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
  const output = (stdout + stderr).trim()
  const seconds = (performance.now() - started) / 1000
  console.log(`${code === 0 ? '✔' : '✖'} ${name} (${seconds.toFixed(1)} s)`)
  if (code === 0) return { file: name, seconds, passed: 1, skips: [], failures: [] }
  console.log(output)
  return {
    file: name,
    seconds,
    passed: 0,
    skips: [],
    failures: [{ where: firstPlace(output), name, message: `${name} failed: see its output above` }],
  }
}

/** "file:line" of the first finding, in tsc's way of writing it or in biome's. */
function firstPlace(output) {
  const [, file, line] = output.match(/^(\S+?\.[cm]?[jt]s)[(:](\d+)/m) ?? []
  return file ? `${file}:${line}` : ''
}
