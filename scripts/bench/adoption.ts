import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { bareNode } from './bare-node.ts'
import { type Figure, makeFigure } from './figure.ts'
import { openStage, ourActions, type Stage } from './stage.ts'
import { median } from './statistics.ts'
import { until } from './until.ts'

const rounds = 3

/** From the spawn of a supervisor to its having taken over the loops that a killed one left, and having said so in bgtask.pid and in the rows. */
export const measure = async (): Promise<Figure[]> => {
  await using stage = await openStage({ actions: ourActions })
  const bare = bareNode(stage.folder)
  await stage.supervise()
  const figures: Figure[] = []
  let live = 0
  for (const loops of [50, 200]) {
    await stage.background.addTasks(Array.from({ length: loops - live }, () => ({ action: 'demo/heartbeat', options: 'FOREVER' as const })))
    live = loops
    await until(`${loops} loops run`, async () => (await stage.count({ state: ['running'] })) === loops, { everyMs: 50 })
    const held: number[] = []
    const adopted: number[] = []
    const recorded: number[] = []
    const limit: number[] = []
    for (let round = 0; round < rounds; round++) {
      limit.push(await bare.firstLineMs())
      const took = await adopt(stage, loops)
      held.push(took.heldMs)
      recorded.push(took.recordedMs)
      adopted.push(Math.max(took.heldMs, took.recordedMs))
    }
    await expectSameRuns(stage, loops)
    figures.push(
      makeFigure({
        figure: `adoption of ${loops} loops`,
        unit: 'ms',
        ours: adopted,
        limit: { is: 'bare spawn to first line', value: limit },
        aim: { of: 'ours', atMost: 1_000 },
        note: `${rounds} rounds, slowest ${Math.max(...adopted).toFixed(0)} ms; bgtask.pid tells it after ${median(held).toFixed(0)} ms, the rows after ${median(recorded).toFixed(0)} ms`,
      }),
    )
  }
  return figures
}

const adopt = async (stage: Stage, loops: number) => {
  await stage.killSupervisor()
  const beganAt = performance.now()
  const { pid, epoch } = await stage.supervise()
  const [heldMs, recordedMs] = await Promise.all([
    until('all are adopted', () => {
      const info = readSupervisor(stage.runtime)
      return info?.pid === pid && info.loops === loops && performance.now() - beganAt
    }),
    until('the rows say so', async () => (await stage.count({ state: ['running'], epoch })) === loops && performance.now() - beganAt),
  ])
  return { heldMs, recordedMs }
}

/** Adopting must have started nothing: one run a loop, each marked as adopted. */
const expectSameRuns = async ({ background }: Stage, loops: number) => {
  const runs = await background.db.kysely.selectFrom('bg_run').select(['number', 'adopted', 'outcome']).execute()
  const strange = runs.filter(run => run.number !== 1 || !run.adopted || run.outcome !== null)
  if (runs.length !== loops || strange.length)
    throw new Error(`${loops} loops have ${runs.length} runs, ${strange.length} of them not adopted`)
}
