import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Failure } from './failure.js'
import { say } from './say.js'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const path = join(root, '.bgtask-setup.lock')
const takeover = `${path}.takeover`

/**
 * Runs `work` while no other set-up of this folder does. Waits for the other one, and takes over when it died.
 * @param {(lock: { alsoHeldBy(pid: number): void }) => Promise<void>} work `alsoHeldBy` names a child whose life holds the lock too
 */
export async function whileLocked(work) {
  await take()
  const holders = [process.pid]
  const beat = setInterval(() => existsSync(path) && utimesSync(path, new Date(), new Date()), 1000)
  try {
    await work({
      alsoHeldBy(pid) {
        holders.push(pid)
        writeFileSync(path, holders.join('\n'))
      },
    })
  } finally {
    clearInterval(beat)
    if (existsSync(path)) unlinkSync(path)
  }
}

async function take() {
  for (let said = false; !created(); ) {
    if (abandoned() && removed()) continue
    if (!said) say(`another set-up is at work in this folder: waiting for it (if there is none, delete ${path}) …`)
    said = true
    await sleep(200)
  }
}

function created() {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw new Failure(
      `The set-up cannot write to ${root} (${error.code}).`,
      'Make the folder writable for this user, or run bgtask as the user who owns it.',
    )
  }
}

/** All holders are dead. They also have to be silent for a while: a process in another container looks dead from here. */
function abandoned() {
  try {
    const holders = readFileSync(path, 'utf8').split('\n').filter(Boolean).map(Number)
    return Date.now() - statSync(path).mtimeMs > 5000 && !holders.some(isAlive)
  } catch (error) {
    if (error.code === 'ENOENT') return false
    throw error
  }
}

/** Only one of several who found it abandoned may remove it, or the second would remove the lock that the first has just taken. */
function removed() {
  try {
    mkdirSync(takeover)
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (Date.now() - statSync(takeover).mtimeMs > 10_000) rmdirSync(takeover)
    return false
  }
  if (abandoned()) unlinkSync(path)
  rmdirSync(takeover)
  return true
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
