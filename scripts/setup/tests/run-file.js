import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { endWithParent } from '../../../test/helpers/tools.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const reporter = pathToFileURL(join(import.meta.dirname, 'events-reporter.js')).href
const maxMs = Number(process.env.BGTASK_TEST_FILE_TIMEOUT_MS) || 5 * 60_000

/**
 * What came of one test file.
 * @typedef {{ where: string, name: string, message: string }} Failed
 * @typedef {{ where: string, name: string, reason: string }} Skipped
 * @typedef {{ file: string, seconds: number, passed: number, skips: Skipped[], failures: Failed[] }} FileResult
 */

/**
 * Runs a test file in a process group of its own, prints its output when it has ended, and leaves nothing of the group alive.
 * A file that takes too long is ended and counts as failed.
 * @param {string} file relative to the repository
 * @param {AbortSignal} signal ends the file at once
 * @returns {Promise<FileResult>}
 */
export async function runFile(file, signal) {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-test-'))
  try {
    const started = performance.now()
    const end = await runProcess(file, folder, signal)
    const seconds = (performance.now() - started) / 1000
    const output = readIfThere(join(folder, 'output'))
    const result = { file, seconds, ...resultOf(file, end, readEvents(join(folder, 'events')), output) }
    print(output, result)
    return result
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Output goes into files, not pipes: what a test left behind cannot keep us waiting by holding them open. */
async function runProcess(file, folder, signal) {
  const output = openSync(join(folder, 'output'), 'w')
  const report = ['--test-reporter=spec', '--test-reporter-destination=stdout']
  const events = [`--test-reporter=${reporter}`, `--test-reporter-destination=${join(folder, 'events')}`]
  const [command, ...args] = [...endWithParent(), process.execPath, ...report, ...events, file]
  const child = spawn(command, args, { cwd: root, detached: true, stdio: ['ignore', output, output] })
  closeSync(output)
  let timedOut = false
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, by) => resolve({ code, by }))
  })
  const stop = () => {
    endGroup(child.pid, 'SIGTERM')
    setTimeout(() => endGroup(child.pid, 'SIGKILL'), 5000).unref()
  }
  const timer = setTimeout(() => {
    timedOut = true
    stop()
  }, maxMs)
  signal.addEventListener('abort', stop)
  const { code, by } = await ended.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  })
  endGroup(child.pid, 'SIGKILL')
  if (timedOut) return `took longer than ${maxMs / 1000} s and was ended`
  return by ? `was ended by ${by}` : code === 0 ? undefined : `exited with code ${code}`
}

/** @returns {Pick<FileResult, 'passed' | 'skips' | 'failures'>} */
function resultOf(file, end, events, output) {
  const result = { passed: 0, skips: [], failures: [] }
  const names = []
  const running = new Map()
  for (const event of events) {
    const place = event.line ? `${relative(root, event.file)}:${event.line}` : file
    const key = `${event.nesting} ${place} ${event.name}`
    if (event.type === 'test:dequeue') running.set(key, event)
    if (event.type === 'test:complete') running.delete(key)
    if (event.type === 'test:start') names.splice(event.nesting, names.length, event.name)
    if (event.type === 'test:pass' || event.type === 'test:fail')
      count(result, event, place, [...names.slice(0, event.nesting), event.name].join(' › '))
  }
  const unended = [...running.values()].filter(({ kind }) => kind !== 'suite').map(({ name, line }) => `"${name}" (line ${line})`)
  const during = unended.length > 0 ? `, during ${unended.join(', ')}` : ''
  if (end && (result.failures.length === 0 || unended.length > 0)) {
    result.failures.push({
      where: file,
      name: file,
      message: `${file} ${end}${during}. Its output ends:\n${output.trim().split('\n').slice(-15).join('\n')}`,
    })
  } else if (!end && unended.length > 0) {
    result.failures.push({ where: file, name: file, message: `${file} ended before its time${during}.` })
  } else if (!end && events.length === 0) {
    result.failures.push({ where: file, name: file, message: `${file} has no tests, or ended before they ran.` })
  }
  return result
}

/** Tests are counted, not the suites around them; what failed only because of a test inside it is not listed twice. */
function count(result, { type, kind, skip, todo, failure }, where, name) {
  const suite = kind === 'suite'
  if (skip !== undefined || todo !== undefined) {
    if (!suite || skip !== undefined) result.skips.push({ where, name, reason: reasonOf(skip, todo) })
  } else if (type === 'test:fail') {
    if (failure?.type !== 'subtestsFailed') result.failures.push({ where, name, message: failure?.message ?? 'failed' })
  } else if (!suite) {
    result.passed++
  }
}

function reasonOf(skip, todo) {
  if (skip !== undefined) return typeof skip === 'string' ? skip : 'skipped without a reason'
  return `still to do${typeof todo === 'string' ? `: ${todo}` : ''}`
}

/** @param {FileResult} result */
function print(output, { file, seconds, passed, skips, failures }) {
  const counts = [`${passed} passed`, failures.length && `${failures.length} failed`, skips.length && `${skips.length} skipped`].filter(
    Boolean,
  )
  console.log(`\n${failures.length > 0 ? '✖' : '✔'} ${file}: ${counts.join(', ')} (${seconds.toFixed(1)} s)`)
  // The reporter's own summary of the file is left out: ours stands at the end of all.
  const body = output.slice(0, output.lastIndexOf('\nℹ tests ') + 1 || undefined).trimEnd()
  const shown =
    body.length > 100_000 ? `${body.slice(0, 50_000)}\n… ${body.length - 100_000} characters left out …\n${body.slice(-50_000)}` : body
  if (shown) console.log(shown.replaceAll(/^/gm, '  '))
}

function readEvents(path) {
  const lines = readIfThere(path).split('\n').slice(0, -1)
  return lines.map(line => JSON.parse(line))
}

const readIfThere = path => (existsSync(path) ? readFileSync(path, 'utf8') : '')

function endGroup(pid, signal) {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}
