import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bareNode } from './bare-node.ts'
import { type Figure, makeFigure } from './figure.ts'
import { benchActions, openStage } from './stage.ts'
import { percentile } from './statistics.ts'
import { until } from './until.ts'

const samples = 100

/** From before addTask to the first line of the action, with nothing else under way. */
export const measure = async (): Promise<Figure[]> => {
  await using stage = await openStage({ actions: benchActions })
  const bare = bareNode(stage.folder)
  await stage.supervise()
  const sample = async (name: string | number) => {
    const witness = join(stage.folder, `first-line-${name}.at`)
    const beganAt = process.hrtime.bigint()
    await stage.background.addTask('bench/first-line', { witness })
    await until('the run is recorded', async () => (await stage.count({ state: ['waiting', 'running'] })) === 0, { everyMs: 15 })
    return Number(BigInt(readFileSync(witness, 'utf8')) - beganAt) / 1e6
  }
  for (let warm = 0; warm < 3; warm++) {
    await sample(`warm-${warm}`)
    await bare.firstLineMs()
  }
  const ours: number[] = []
  const limit: number[] = []
  for (let one = 0; one < samples; one++) {
    limit.push(await bare.firstLineMs())
    ours.push(await sample(one))
    await sleep(10)
  }
  return [50, 99].map(percent =>
    makeFigure({
      figure: `addTask to the action's first line, p${percent}`,
      unit: 'ms',
      ours: percentile(ours, percent),
      limit: { is: 'bare spawn to first line', value: percentile(limit, percent) },
      ...(percent === 50 ? { aim: { of: 'ratio', atMost: 2 } } : {}),
      note: `${samples} of each in turns, one at a time`,
    }),
  )
}
