import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type PanelInfo, readPanel } from '../../app/runs/panel-file.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { password } from '../helpers/browser.ts'
import { freePort } from '../helpers/free-port.ts'
import { killIfThere, until } from '../helpers/scene.ts'
import { sharedCompileCache } from '../helpers/shared-compile-cache.ts'

const source = join(import.meta.dirname, '..', '..')

/** A checkout of its own, with configuration, controllers and actions that a test may break, and its panel in the background. */
export interface OwnCheckout {
  root: string
  runtime: string
  port: number
  socket: string
  /** Runs `node index.js …` there. */
  run(...args: string[]): Promise<{ code: number | null; said: string }>
  /** In one step, as an editor saves it. */
  write(name: string, text: string): void
  /** bgtask.config.ts. */
  configure(settings?: object): void
  /** What /which answers, once a panel has loaded it. */
  writeVersion(version: string): void
  panel(): PanelInfo
  log(): string
  /** What the next new panel does when it is about to say this to the old one; null: nothing. */
  inject(fault: Fault | null): void
  hup(pid?: number): void
}

interface Fault {
  at: 'ready' | 'listening'
  /** Who gets the signal; `hold`: nobody, and the new panel waits there until another fault is injected. */
  whom: 'old' | 'new' | 'hold'
  signal?: NodeJS.Signals
}

export const makeCheckout = async (t: { after(work: () => unknown): void }, env: Record<string, string> = {}): Promise<OwnCheckout> => {
  const root = mkdtempSync(join(tmpdir(), 'bgtask-checkout-'))
  for (const name of ['app', 'views', 'public', 'index.js', 'package.json'])
    cpSync(join(source, name), join(root, name), { recursive: true })
  rmSync(join(root, 'app', 'controllers'), { recursive: true })
  symlinkSync(join(source, 'node_modules'), join(root, 'node_modules'))
  const runtime = join(root, 'runtime')
  const socket = join(root, 'bgtask.sock')
  const port = await freePort()
  const faultFile = join(root, 'fault')
  const all = {
    PATH: process.env.PATH!,
    HOME: process.env.HOME ?? '/',
    // For the packages: what is of this checkout alone has paths of its own.
    ...sharedCompileCache(),
    BGTASK_ADMIN_PASSWORD: password,
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(injector(faultFile))}`,
    ...env,
  }
  const write: OwnCheckout['write'] = (name, text) => {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, `${name}.new`), text)
    renameSync(join(root, `${name}.new`), join(root, name))
  }
  const run: OwnCheckout['run'] = (...args) => {
    const child = spawn(process.execPath, [join(root, 'index.js'), ...args], { cwd: root, env: all, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', piece => (said += String(piece)))
    return new Promise((resolve, reject) => child.once('error', reject).once('close', code => resolve({ code, said })))
  }
  const panel = () => readPanel(runtime)!
  const checkout: OwnCheckout = {
    root,
    runtime,
    port,
    socket,
    run,
    write,
    configure: settings =>
      write('bgtask.config.ts', `export default ${JSON.stringify({ PORT: port, BGTASK_SOCKET: socket, ...settings })}\n`),
    writeVersion: version =>
      write(
        'app/controllers/which.ts',
        `export default async (app: any) => { app.get('/which', async () => ({ version: '${version}', pid: process.pid })) }\n`,
      ),
    panel,
    log: () => readFileSync(runtimePaths(runtime).panelLog, 'utf8'),
    inject: fault => {
      if (fault) writeFileSync(faultFile, `${fault.at} ${fault.whom} ${fault.signal ?? ''}`)
      else rmSync(faultFile, { force: true })
    },
    hup: (pid = panel().pid) => process.kill(pid, 'SIGHUP'),
  }
  checkout.configure()
  checkout.writeVersion('one')
  t.after(async () => {
    checkout.inject(null)
    checkout.configure()
    if (existsSync(runtime)) await run('panel', 'stop')
    // Also of a test that broke the file which names them.
    for (const pid of runningFrom(root)) killIfThere(pid)
    rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  })
  return checkout
}

const runningFrom = (root: string): number[] =>
  readdirSync('/proc').flatMap(name => {
    const path = `/proc/${name}/cmdline`
    return /^\d+$/.test(name) && existsSync(path) && readFileSync(path, 'latin1').includes(`${root}/`) ? [Number(name)] : []
  })

// Loaded by every process of the checkout; it acts in a panel that takes over, at the moment that the file names.
const injector = (faultFile: string) => `
import { existsSync, readFileSync } from 'node:fs'
const { send } = process
const fault = () => existsSync(${JSON.stringify(faultFile)}) ? readFileSync(${JSON.stringify(faultFile)}, 'utf8').split(' ') : []
if (send && process.argv.includes('--take-over')) process.send = (said, ...more) => {
  const go = () => send.call(process, said, ...more)
  const [at, whom, signal] = fault()
  if (at !== said) return go()
  if (whom === 'hold') {
    const held = setInterval(() => {
      if (fault()[1] === 'hold') return
      clearInterval(held)
      go()
    }, 10)
    return
  }
  const parent = process.ppid
  process.kill(whom === 'old' ? parent : process.pid, signal)
  // What a signal does to a process that handles it, it has done then.
  if (whom === 'new') return setTimeout(go, 50)
  const gone = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(gone)
    go()
  }, 1)
}
`

type Way = 'fresh' | 'kept' | 'socket'

/**
 * A light load that never rests, by new connections, by a kept one and over the socket file, until it is told to end.
 * @param over not the socket where the database goes away: what can be asked for there, tells so
 */
export const putUnderLightLoad = (
  { port, socket }: Pick<OwnCheckout, 'port' | 'socket'>,
  over: readonly Way[] = ['fresh', 'kept', 'socket'],
) => {
  const ways = {
    fresh: { host: '127.0.0.1', port, agent: new Agent({ keepAlive: false }), path: '/which' },
    kept: { host: '127.0.0.1', port, agent: new Agent({ keepAlive: true }), path: '/which' },
    socket: { socketPath: socket, agent: new Agent({ keepAlive: false }), path: '/healthz' },
  }
  const faults: string[] = []
  const answered = { fresh: 0, kept: 0, socket: 0 }
  let isOver = false
  const client = async (name: Way) => {
    while (!isOver) {
      try {
        const { status, text } = await ask(ways[name])
        if (status !== 200 || !/^\{.*\}\s*$/s.test(text)) throw new Error(`answered by ${status}: ${text.slice(0, 200)}`)
        answered[name]++
      } catch (error) {
        faults.push(`${name}: ${(error as Error).message}`)
      }
      await delay(25)
    }
  }
  const clients = over.map(client)
  return {
    /** Faults so far, and at least one more answer of each kind. */
    async faults() {
      const before = { ...answered }
      await until('each way is answered once more', () => faults.length > 0 || over.every(name => answered[name] > before[name]), 60_000)
      return [...faults]
    },
    async end() {
      isOver = true
      await Promise.all(clients)
      for (const { agent } of Object.values(ways)) agent.destroy()
    },
  }
}

export const ask = async (
  where: {
    host?: string
    port?: number
    socketPath?: string
    agent?: Agent
    path: string
    method?: string
    headers?: Record<string, string>
  },
  body?: string,
): Promise<{ status: number; text: string }> => {
  const headers = { ...(where.socketPath ? { host: 'localhost' } : {}), ...where.headers }
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ ...where, headers: { ...headers, ...(body ? { 'content-length': Buffer.byteLength(body) } : {}) } }, resolve)
      .once('error', reject)
      .end(body)
  })
  let text = ''
  for await (const piece of answer.setEncoding('utf8')) text += piece
  if (!answer.complete) throw new Error('the answer was cut off')
  return { status: answer.statusCode!, text }
}
