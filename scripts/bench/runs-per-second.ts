import { availableParallelism } from 'node:os'
import { bareNode } from './bare-node.ts'
import { cpuTimeMs } from './cpu-time.ts'
import { type Figure, makeFigure } from './figure.ts'
import { benchActions, openStage } from './stage.ts'
import { median, spread } from './statistics.ts'
import { until } from './until.ts'

const rounds = 5
const runsARound = 100
/** Bare spawns keep all cores busy; with less than this share somebody else did, and shares out the rest as chance has it. */
const leastShare = 0.7

/** ONCE tasks that do nothing, each in a process of its own, from the first being due to the last being recorded as succeeded. */
export const measure = async (): Promise<Figure[]> => {
  await using stage = await openStage({ actions: benchActions })
  const { background } = stage
  const bare = bareNode(stage.folder)
  const atOnce = background.config.maxRunning
  const { pid } = await stage.supervise()
  const runAll = async (count: number) => {
    await background.addTasks(Array.from({ length: count }, () => ({ action: 'bench/no-op' })))
    const beganAt = performance.now()
    await until('all tasks have ended', async () => (await stage.count({ state: ['waiting', 'running'] })) === 0, { everyMs: 20 })
    return count / ((performance.now() - beganAt) / 1000)
  }
  // The first runs fill the compile cache.
  await runAll(2 * atOnce)
  await bare.runsPerSecond(2 * atOnce, atOnce)
  const ours: Round[] = []
  const limit: Round[] = []
  for (let round = 0; round < rounds; round++) {
    limit.push(await observe(process.pid, () => bare.runsPerSecond(runsARound, atOnce)))
    ours.push(await observe(pid, () => runAll(runsARound)))
  }
  const failed = await stage.count({ state: ['failed', 'cancelled'] })
  if (failed) throw new Error(`${failed} of the tasks did not succeed`)
  const rates = [ours, limit].map(list => list.map(one => one.perSecond))
  return [
    makeFigure({
      figure: 'runs, one process each',
      unit: '/s',
      ours: rates[0]!,
      limit: { is: 'bare node spawns', value: rates[1]! },
      aim: { of: 'ratio', atLeast: 0.85 },
      doubt:
        coresOf(limit) >= leastShare * availableParallelism()
          ? null
          : `other programs left the bare spawns only ${coresOf(limit).toFixed(1)} cores`,
      note: `${atOnce} at once; ours ${spread(rates[0]!)}, bare ${spread(rates[1]!)} of ${runsARound} runs; ours had ${coresOf(ours).toFixed(1)} cores, bare ${coresOf(limit).toFixed(1)}`,
    }),
    makeFigure({
      figure: 'CPU time of a run',
      unit: 'ms',
      ours: ours.map(cpuOf),
      limit: { is: 'bare node spawns', value: limit.map(cpuOf) },
      note: `${tellCpu('runner', 'supervisor', ours)}; ${tellCpu('bare node', 'its parent', limit)}. What else the machine does moves it less than the rate`,
    }),
  ]
}

interface Round {
  perSecond: number
  /** Per run, in ms. */
  parentMs: number
  childMs: number
}

const observe = async (parent: number, work: () => Promise<number>): Promise<Round> => {
  const before = cpuTimeMs(parent)
  const perSecond = await work()
  const after = cpuTimeMs(parent)
  return {
    perSecond,
    parentMs: (after.own - before.own) / runsARound,
    childMs: (after.ofChildren - before.ofChildren) / runsARound,
  }
}

const cpuOf = ({ parentMs, childMs }: Round) => parentMs + childMs

/** How many cores were at work for it. */
const coresOf = (list: readonly Round[]) => median(list.map(one => (one.perSecond * cpuOf(one)) / 1000))

const tellCpu = (child: string, parent: string, list: readonly Round[]) =>
  `${child} ${median(list.map(one => one.childMs)).toFixed(1)} ms and ${parent} ${median(list.map(one => one.parentMs)).toFixed(1)} ms`
