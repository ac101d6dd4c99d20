import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { launcher } from '../../app/paths.ts'
import { freePort } from '../../test/helpers/browser.ts'
import { type Figure, makeFigure } from './figure.ts'
import { percentile, spread } from './statistics.ts'

const rounds = 5
const looks = 300

/** How long a page takes while `Run cron every` is set and a run is due all the time, beside the same page with the switch off; in turns. */
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
    await timeLooks(port)
    const off: number[] = []
    const on: number[] = []
    for (let round = 0; round < rounds; round++) {
      turn(0)
      off.push(...(await timeLooks(port)))
      turn(1)
      on.push(...(await timeLooks(port)))
    }
    const asked = database.prepare("SELECT COUNT(*) AS n FROM bg_task WHERE action = 'core/cron'").get() as { n: number }
    database.close()
    if (asked.n === 0) throw new Error('Cron was never asked for, so nothing was measured.')
    return [50, 99].map(part =>
      makeFigure({
        figure: `page with cron after requests, p${part}`,
        unit: 'ms',
        ours: percentile(on, part),
        limit: { is: `the same with the switch off, p${part}`, value: percentile(off, part) },
        aim: { of: 'ratio', atMost: part === 50 ? 1.1 : 1.5 },
        note: `${on.length} looks each way, in ${rounds} turns; ${spread(on, 2)}`,
      }),
    )
  } finally {
    panel.kill('SIGKILL')
    rmSync(runtime, { recursive: true, force: true, maxRetries: 5 })
  }
}

const timeLooks = async (port: number): Promise<number[]> => {
  const times: number[] = []
  for (let n = 0; n < looks; n++) times.push(await look(port))
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
