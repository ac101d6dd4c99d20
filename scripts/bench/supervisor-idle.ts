import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuTimeMs } from './cpu-time.ts'
import { type Figure, makeFigure } from './figure.ts'
import { openStage, ourActions } from './stage.ts'
import { until } from './until.ts'

const watchMs = 20_000
const calmMs = 3_000

/** Memory and CPU of a supervisor whose loops (demo/heartbeat, every 5 s) all run and need nothing of it. */
export const measure = async (): Promise<Figure[]> => {
  await using stage = await openStage({ actions: ourActions })
  const bareMb = await bareResidentMb()
  // The first start on a machine compiles everything, and keeps the compiler in memory; those after it find the compile cache.
  const first = await stage.supervise()
  await sleep(calmMs)
  const firstMb = memoryOf(first.pid).residentMb
  await stage.stopSupervisor()
  const { pid } = await stage.supervise()
  const figures: Figure[] = []
  let live = 0
  for (const loops of [0, 50, 200]) {
    await stage.background.addTasks(Array.from({ length: loops - live }, () => ({ action: 'demo/heartbeat', options: 'FOREVER' as const })))
    live = loops
    await until(`${loops} loops run`, async () => (await stage.count({ state: ['running'] })) === loops, { everyMs: 50 })
    await sleep(calmMs)
    const cpuBeforeMs = cpuTimeMs(pid).own
    const beganAt = performance.now()
    await sleep(watchMs)
    const cpuMs = cpuTimeMs(pid).own - cpuBeforeMs
    const percent = (cpuMs / (performance.now() - beganAt)) * 100
    const { residentMb, highestMb } = memoryOf(pid)
    figures.push(
      makeFigure({
        figure: `supervisor's memory with ${loops} loops`,
        unit: 'MB',
        ours: residentMb,
        limit: { is: 'an idle bare node', value: bareMb },
        aim: { of: 'ours', atMost: 80 },
        note: `resident; highest so far ${highestMb.toFixed(0)} MB; ${firstMb.toFixed(0)} MB in the first life on a machine, without loops`,
      }),
      makeFigure({
        figure: `supervisor's idle CPU with ${loops} loops`,
        unit: '%',
        ours: percent,
        limit: null,
        ...(loops <= 50 ? { aim: { of: 'ours', atMost: 0.5 } } : {}),
        note: `of one core, over ${watchMs / 1000} s`,
      }),
    )
  }
  return figures
}

const bareResidentMb = async () => {
  const child = spawn(process.execPath, ['-e', 'console.log(1); process.stdin.resume()'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const ended = once(child, 'exit')
  await once(child.stdout, 'data')
  const { residentMb } = memoryOf(child.pid!)
  child.kill('SIGKILL')
  await ended
  return residentMb
}

/** In MB of 1,000,000 bytes. */
const memoryOf = (pid: number) => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mb = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6
  return { residentMb: mb('VmRSS'), highestMb: mb('VmHWM') }
}
