import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ring } from '../../app/runs/doorbell.ts'
import { wishDown } from '../../app/store/wishes.ts'
import { bareNode } from './bare-node.ts'
import { type Figure, makeFigure } from './figure.ts'
import { benchActions, openStage } from './stage.ts'
import { percentile } from './statistics.ts'
import { until } from './until.ts'

const samples = 30

/** From the SIGKILL to a loop's process to the first line of its next run. Each loop is killed once, since only an isolated failure restarts at once. */
export const measure = async (): Promise<Figure[]> => {
  await using stage = await openStage({ actions: benchActions })
  const { background } = stage
  const bare = bareNode(stage.folder)
  await stage.supervise()
  const sample = async (name: string | number) => {
    const witness = join(stage.folder, `loop-${name}`)
    const { id } = await background.addTask('bench/first-line-loop', { witness }, 'FOREVER')
    const first = await until('the first run has begun', () => readWitness(`${witness}-1`))
    await until('it is recorded', async () => (await stage.count({ state: ['running'] })) === 1)
    // Until its start is over for the supervisor too.
    await sleep(100)
    const killedAt = process.hrtime.bigint()
    process.kill(first.pid, 'SIGKILL')
    const next = await until('the next run has begun', () => readWitness(`${witness}-2`))
    await wishDown(background.db, id, 'bench', Date.now())
    ring(stage.runtime)
    await until('the loop has stopped', async () => (await stage.count({ state: ['starting', 'running', 'stopping'] })) === 0)
    return Number(next.at - killedAt) / 1e6
  }
  await sample('warm')
  await bare.firstLineMs()
  const ours: number[] = []
  const limit: number[] = []
  for (let one = 0; one < samples; one++) {
    limit.push(await bare.firstLineMs())
    ours.push(await sample(one))
  }
  const figure = (name: string, percent: number) => ({
    figure: `restart of a SIGKILLed loop, ${name}`,
    unit: 'ms' as const,
    ours: percentile(ours, percent),
    limit: { is: 'bare spawn to first line', value: percentile(limit, percent) },
  })
  return [
    makeFigure({
      ...figure('p50', 50),
      aim: { of: 'ratio', atMost: 1.5 },
      note: `${samples} of each in turns; pm2 was at 3, supervisord at 30`,
    }),
    makeFigure({ ...figure('max', 100), note: '' }),
  ]
}

const readWitness = (path: string) => {
  if (!existsSync(path)) return null
  const [pid, at] = readFileSync(path, 'utf8').split(' ')
  return { pid: Number(pid), at: BigInt(at!) }
}
