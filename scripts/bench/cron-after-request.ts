import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { launcher } from '../../app/paths.ts'
import { freePort } from '../../test/helpers/free-port.ts'
import { type Figure, makeFigure } from './figure.ts'
import { percentile, spread } from './statistics.ts'

const looks = 500
const betweenMs = 40

/** How long a page takes while `Run cron every` is set and a run is due, beside the same page with the switch off. */
export const measure = async (): Promise<Figure[]> => {
  const runtime = mkdtempSync(join(tmpdir(), 'bgtask-bench-cron-'))
  const port = await freePort()
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_RUNTIME: runtime, PORT: String(port), BGTASK_AUTOSTART: 'off' }
  const panel = spawn(process.execPath, [launcher, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => panel.kill('SIGKILL'))
  try {
    await new Promise<void>(resolve => panel.stdout.on('data', (chunk: Buffer) => chunk.includes('bgtask is at') && resolve()))
    const database = new DatabaseSync(join(runtime, 'bgtask.sqlite'), { timeout: 5_000 })
    const turn = (everyMs: number) => database.exec(`UPDATE bg_cron SET every_ms = ${everyMs}, asked_at = 0`)
    const asked = () => (database.prepare("SELECT COUNT(*) AS n FROM bg_task WHERE action = 'core/cron'").get() as { n: number }).n
    await timeLooks(port, 50, () => false)
    turn(0)
    const off = await timeLooks(port, looks, () => false)
    turn(1)
    // The panel looks at the switch twice a minute.
    const on = await timeLooks(port, 2 * looks, () => asked() > 0)
    const after = await timeLooks(port, looks, () => false)
    if (asked() === 0) throw new Error('Cron was never asked for, so nothing was measured.')
    on.push(...after)
    database.close()
    return [50, 99].map(part =>
      makeFigure({
        figure: `page with cron after requests, p${part}`,
        unit: 'ms',
        ours: percentile(on, part),
        limit: { is: `the same with the switch off, p${part}`, value: percentile(off, part) },
        aim: { of: 'ratio', atMost: part === 50 ? 1.1 : 1.5 },
        note: `${on.length} looks against ${off.length}; ${spread(on, 2)}`,
      }),
    )
  } finally {
    panel.kill('SIGKILL')
    rmSync(runtime, { recursive: true, force: true, maxRetries: 5 })
  }
}

const timeLooks = async (port: number, most: number, isEnough: () => boolean): Promise<number[]> => {
  const times: number[] = []
  while (times.length < most && !isEnough()) {
    times.push(await look(port))
    await sleep(betweenMs)
  }
  return times
}

const look = (port: number) =>
  new Promise<number>((resolve, reject) => {
    const from = performance.now()
    request({ host: '127.0.0.1', port, path: '/demo' }, response => {
      response.resume().on('end', () => resolve(performance.now() - from))
    })
      .on('error', reject)
      .end()
  })
