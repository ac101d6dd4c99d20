import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { launcher } from '../../app/paths.ts'
import { liveLimits } from '../../app/web/live-hub.ts'
import { freePort } from '../../test/helpers/browser.ts'
import { moreSessions } from '../../test/helpers/more-sessions.ts'
import type { Attack, Molested } from './attack.ts'
import { type Figure, makeFigure } from './figure.ts'
import { percentile, spread } from './statistics.ts'
import { until } from './until.ts'

const password = 'a lantern over the harbour'
const looks = 150
const betweenMs = 40
const most = 300

/** How long the overview takes for an operator at work, while others do their worst; beside the same page in quiet. */
export const measure = async (): Promise<Figure[]> => {
  await using panel = await openPanel()
  const quiet = await timeLooks(panel)
  const memoryMb = { quiet: panel.residentMb() }
  const cookies = [panel.cookie, ...moreSessions(panel.runtime, panel.cookie, liveLimits.inAll / liveLimits.perSession)].slice(1)
  const readers = (page: (at: number) => string) =>
    Array.from({ length: liveLimits.inAll }, (_, at) => ({ cookie: cookies[Math.floor(at / liveLimits.perSession)]!, page: page(at) }))
  const figures: Figure[] = []
  const kinds: [string, Omit<Attack, 'port'>][] = [
    ['500 slow clients', { slow: 500, readers: [], logins: 0 }],
    ['200 idle readers', { slow: 0, readers: readers(() => '/admin'), logins: 0 }],
    ['200 readers of as many pages', { slow: 0, readers: readers(at => `/admin/core/bgtask?text=${at}`), logins: 0 }],
    ['a login flood', { slow: 0, readers: [], logins: 16 }],
    ['all of them', { slow: 500, readers: readers(() => '/admin'), logins: 16 }],
  ]
  for (const [what, attack] of kinds) {
    await using load = await startAttack({ port: panel.port, ...attack })
    const times = await timeLooks(panel)
    const { slow, readers: reading, logins } = load.told()
    const said = Object.entries(logins).map(([status, count]) => `${count} × ${status}`)
    const note = `${slow} slow, ${reading} reading, logins ${said.join(', ') || 'none'}; p50 ${percentile(times, 50).toFixed(1)} ms against ${percentile(quiet, 50).toFixed(1)} ms in quiet, longest ${Math.max(...times).toFixed(0)} ms; ${panel.residentMb().toFixed(0)} MB against ${memoryMb.quiet.toFixed(0)} MB, ${panel.descriptors()} descriptors; ${spread(times, 1)}`
    figures.push(
      makeFigure({
        figure: `page during ${what}, p99`,
        unit: 'ms',
        ours: percentile(times, 99),
        limit: { is: 'the same in quiet, p99', value: percentile(quiet, 99) },
        aim: { of: 'ours', atMost: most },
        note,
      }),
    )
  }
  return figures
}

interface MeasuredPanel extends AsyncDisposable {
  port: number
  runtime: string
  cookie: string
  residentMb(): number
  descriptors(): number
}

const openPanel = async (): Promise<MeasuredPanel> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-bench-'))
  const runtime = join(folder, 'runtime')
  const port = await freePort()
  const child = spawn(process.execPath, [launcher, 'serve'], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME ?? '/',
      BGTASK_RUNTIME: runtime,
      PORT: String(port),
      BGTASK_AUTOSTART: 'off',
      BGTASK_ADMIN_PASSWORD: password,
      BGTASK_TRUST_PROXY: '127.0.0.1',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const clean = () => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', clean)
  const address = `http://127.0.0.1:${port}`
  await until('the panel answers', () =>
    fetch(`${address}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  const form = await fetch(`${address}/admin/login`)
  const token = /name="_csrf" value="([^"]+)"/.exec(await form.text())![1]!
  const cookieOf = (answer: Response) =>
    answer.headers
      .getSetCookie()
      .map(one => one.split(';')[0])
      .join('; ')
  const signedIn = await fetch(`${address}/admin/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: address, cookie: cookieOf(form) },
    body: new URLSearchParams({ _csrf: token, name: 'admin', password }),
  })
  if (signedIn.status !== 303) throw new Error(`Signing in was answered by ${signedIn.status}.`)
  return {
    port,
    runtime,
    cookie: cookieOf(signedIn),
    residentMb: () => (Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) * 1024) / 1e6,
    descriptors: () => readdirSync(`/proc/${child.pid}/fd`).length,
    [Symbol.asyncDispose]: async () => {
      process.off('exit', clean)
      const ended = once(child, 'exit')
      clean()
      await ended
    },
  }
}

/** Milliseconds that each visit took, on a connection of its own as after a pause. */
const timeLooks = async ({ port, cookie }: MeasuredPanel): Promise<number[]> => {
  const times: number[] = []
  for (let look = 0; look < looks; look++) {
    const from = performance.now()
    const answer = await fetch(`http://127.0.0.1:${port}/admin/core/bgtask`, {
      headers: { cookie, connection: 'close' },
      redirect: 'manual',
    })
    await answer.text()
    if (answer.status !== 200) throw new Error(`The page was answered by ${answer.status}.`)
    times.push(performance.now() - from)
    await sleep(betweenMs)
  }
  return times
}

const startAttack = async (attack: Attack): Promise<AsyncDisposable & { told(): Molested }> => {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, 'attack.ts'), JSON.stringify(attack)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const stop = () => child.kill('SIGKILL')
  process.once('exit', stop)
  let told: Molested | undefined
  createInterface({ input: child.stdout! }).on('line', line => {
    told = JSON.parse(line) as Molested
  })
  await until(
    'all of them are there',
    () => told !== undefined && told.slow >= attack.slow * 0.9 && told.readers >= attack.readers.length * 0.9,
  )
  return {
    told: () => told!,
    [Symbol.asyncDispose]: async () => {
      process.off('exit', stop)
      const ended = once(child, 'exit')
      stop()
      await ended
      // The panel sees them leave.
      await sleep(1_000)
    },
  }
}
