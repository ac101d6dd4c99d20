import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { liveLimits } from '../../app/web/live-hub.ts'
import { moreSessions } from '../../test/helpers/more-sessions.ts'
import type { Attack, Molested } from './attack.ts'
import { type Figure, makeFigure } from './figure.ts'
import { type MeasuredPanel, openPanel } from './open-panel.ts'
import { percentile, spread } from './statistics.ts'
import { until } from './until.ts'

const looks = 150
const betweenMs = 40
const most = 300

/** How long the overview takes for an operator at work, while others do their worst; beside the same page in quiet. */
export const measure = async (): Promise<Figure[]> => {
  await using folder = temporaryFolder()
  await using panel = await openPanel(join(folder.path, 'runtime'))
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

const temporaryFolder = () => {
  const path = mkdtempSync(join(tmpdir(), 'bgtask-bench-'))
  const remove = () => rmSync(path, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', remove)
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      process.off('exit', remove)
      remove()
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
