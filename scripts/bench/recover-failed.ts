import { setTimeout as sleep } from 'node:timers/promises'
import { askRecovery } from '../../app/api/ask-recovery.ts'
import { readBeat } from '../../app/runs/beat.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { findTask } from '../../app/store/find-task.ts'
import { listRuns } from '../../app/store/list-runs.ts'
import { isFinal } from '../../app/task/task.ts'
import { startMariaDb } from '../../test/helpers/mariadb.ts'
import { mariadbMissing } from '../../test/helpers/tools.ts'
import { seedFailed } from '../../test/store/seed-failed.ts'
import { type Figure, makeFigure } from './figure.ts'
import { benchActions, openStage, type Stage } from './stage.ts'
import { percentile } from './statistics.ts'

const many = 100_000
const others = 10_000
/** Of each hundred failed tasks so many hold a unique key again when they are retried. */
const keyed = 20
const betweenMs = 5
const quietMs = 5_000

/** Recovery of a hundred thousand failed tasks among others, by the task that does it, with an `addTask` every few milliseconds beside it. */
export const measure = async (): Promise<Figure[]> => {
  const figures = await on('SQLite')
  if (mariadbMissing()) return figures
  const server = await startMariaDb()
  try {
    return [...figures, ...(await on('MariaDB', await server.newDatabase()))]
  } finally {
    await server.stop()
  }
}

const on = async (database: string, databaseUrl?: string): Promise<Figure[]> => {
  // One at once: the recovery itself runs, and what it retried waits.
  await using stage = await openStage({
    actions: benchActions,
    ...(databaseUrl ? { databaseUrl } : {}),
    env: { BGTASK_MAX_RUNNING: '1' },
  })
  const { db } = stage.background
  const at = Date.now() - 60_000
  await seedFailed(db, many, { action: 'bench/no-op', creator: 'kim', at, keyed })
  await seedFailed(db, others, { action: 'bench/no-op', creator: 'other', at })
  await stage.supervise()
  const figures: Figure[] = []
  for (const act of ['retry', 'discard'] as const) {
    // What was retried fails again, so to speak, and is discarded then.
    if (act === 'discard') await failAgain(stage)
    const quiet = await addBeside(stage, () => sleep(quietMs))
    let seen: Seen | undefined
    const beside = await addBeside(stage, async () => {
      seen = await recover(stage, act)
    })
    const { seconds, peakMb, progress } = seen!
    const mostGap = Math.max(...progress.slice(1).map((done, index) => done - progress[index]!))
    figures.push(
      makeFigure({
        figure: `${act} of ${many.toLocaleString('en')} failed tasks, ${database}`,
        unit: '/s',
        ours: many / seconds,
        limit: null,
        note:
          `${seconds.toFixed(1)} s; ${keyed} % with a unique key, ${others.toLocaleString('en')} others left alone; ` +
          `progress was seen at ${progress.length} counts, the furthest ${mostGap.toLocaleString('en')} apart`,
      }),
      makeFigure({ figure: `its peak memory, ${database}`, unit: 'MB', ours: peakMb, limit: null, note: act }),
      ...[50, 99, 100].map(part =>
        makeFigure({
          figure: `addTask beside it, ${part === 100 ? 'longest' : `p${part}`}, ${database}`,
          unit: 'ms',
          ours: percentile(beside, part),
          limit: { is: 'addTask without it', value: percentile(quiet, part) },
          ...(part === 99 ? { aim: { of: 'ours', atMost: 100 } as const } : {}),
          note: `${act}; ${beside.length} beside it, ${quiet.length} without`,
        }),
      ),
    )
  }
  return figures
}

/** Adds tasks that are not due, one after another, while something is done. @returns how long each took */
const addBeside = async ({ background }: Stage, work: () => Promise<unknown>): Promise<number[]> => {
  const times: number[] = []
  let over = false
  const adding = (async () => {
    while (!over) {
      const from = performance.now()
      await background.addTask('bench/no-op', {}, { delayMs: 3_600_000, creator: 'beside' })
      times.push(performance.now() - from)
      await sleep(betweenMs)
    }
  })()
  try {
    await work()
  } finally {
    over = true
    await adding
  }
  return times
}

interface Seen {
  seconds: number
  peakMb: number
  /** What its page said at one time or another. */
  progress: number[]
}

const recover = async ({ background, runtime }: Stage, act: 'retry' | 'discard'): Promise<Seen> => {
  const { db } = background
  const by = { by: 'eva', actor: { name: 'eva', ip: null, via: 'command-line' } } as const
  const { task } = await askRecovery(background, act, { creator: 'kim' }, by)
  const progress: number[] = []
  for (;;) {
    const done = readBeat(runtimePaths(runtime).run(`${task.id}-1`).beat)?.progress?.done
    if (done !== undefined && done !== progress.at(-1)) progress.push(done)
    const now = (await findTask(db, task.id))!
    if (isFinal(now.state)) {
      const said = `${act === 'retry' ? 'retried' : 'discarded'} ${many.toLocaleString('en')} failed tasks`
      if (now.content !== said) throw new Error(`The recovery ended ${now.state}: ${now.content}`)
      break
    }
    await sleep(100)
  }
  const [run] = await listRuns(db, task.id, { limit: 1 })
  const left = await db.kysely
    .selectFrom('bg_task')
    .select(({ fn }) => ['creator', 'state', fn.countAll<number>().as('n')])
    .where('creator', 'in', ['kim', 'other'])
    .groupBy(['creator', 'state'])
    .execute()
  const wrong = left.find(({ creator, state, n }) => (creator === 'kim' ? state === 'failed' : state !== 'failed' || Number(n) !== others))
  if (wrong) throw new Error(`After it there are ${wrong.n} ${wrong.state} tasks of ${wrong.creator}.`)
  return { seconds: (run!.endedAt! - run!.startedAt) / 1_000, peakMb: (run!.peakMemoryBytes ?? Number.NaN) / 1e6, progress }
}

const failAgain = async (stage: Stage) => {
  await stage.stopSupervisor()
  const { db } = stage.background
  await db.kysely.deleteFrom('bg_run').execute()
  await db.kysely.deleteFrom('bg_task').where('creator', '=', 'kim').execute()
  await db.kysely.deleteFrom('bg_error').where('action', '=', 'bench/no-op').where('n', '<=', 0).execute()
  await db.kysely.deleteFrom('bg_error').where('error_key', '=', 'error of kim').execute()
  await seedFailed(db, many, { action: 'bench/no-op', creator: 'kim', at: Date.now() - 60_000, keyed })
  await stage.supervise()
}
