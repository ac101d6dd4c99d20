import { join, relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { loopStatus } from '../api/loop-status.ts'
import { workRoot } from '../paths.ts'
import { readBeat } from '../runs/beat.ts'
import { diskSpace } from '../runs/disk-space.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { countEnded } from '../store/count-tasks.ts'
import { lastEndedOf } from '../store/list-runs.ts'
import { listNextSchedules } from '../store/list-schedules.ts'
import { listTasks } from '../store/list-tasks.ts'
import { listFailedSince, listNext, listRunningNow, listTroubledLoops } from '../store/overview.ts'
import { isOnProbe } from '../task/explain.ts'
import { runName } from '../task/run.ts'
import type { Task } from '../task/task.ts'
import { createExplainer } from './explained.ts'
import { keepEndingBadly } from './keep-ending-badly.ts'
import { longIterations } from './long-iterations.ts'
import { startByVisit } from './loop.ts'
import { loopStrips, mostStrips } from './loop-strips.ts'
import type { Panel } from './panel.ts'
import { paramFaults } from './param-faults.ts'
import { mayAct } from './roles.ts'
import { startByToken } from './token-visits.ts'

const dayMs = 86_400_000
const mostAttention = 10
const mostRunning = 12
/** What a panel without tasks offers as the first loop: it prints lines and does nothing else. */
const exampleLoop = 'demo/heartbeat'

export const registerOverview = (app: FastifyInstance, panel: Panel) => {
  app.get('', async (request, reply) => {
    if (request.token) return startByToken(panel, request, reply)
    const said = mayAct(request.user!.role, 'operator') ? await startByVisit(panel, request) : null
    // One message has room; that something failed is not put off, the other one waits for the next page.
    const flash = said?.tone === 'bad' ? said : (request.session.flash ?? said)
    if (flash === request.session.flash) request.session.flash = undefined
    return reply.page('overview', { ...(await overviewModel(panel)), exampleLoop, flash })
  })
}

/** Everything on the overview page; the same for all readers. */
export const overviewModel = async (panel: Pick<Panel, 'config' | 'background'>) => {
  const { db } = panel.background
  const now = Date.now()
  const explained = createExplainer(panel)
  const [status, inTrouble, failed, runningNow, next, planned, ended, recent] = await Promise.all([
    loopStatus(panel.config, db),
    listTroubledLoops(db, mostAttention + 1),
    listFailedSince(db, now - dayMs, mostAttention + 1),
    listRunningNow(db, mostRunning),
    listNext(db, 6),
    listNextSchedules(db, 4),
    countEnded(db, now - dayMs),
    listTasks(db, { states: ['succeeded', 'failed', 'cancelled'] }, { limit: 6 }),
  ])
  const loops = status.loops ?? []
  const long = await longIterations(panel, loops, now)
  const bad = await keepEndingBadly(db, loops, now)
  const listed = new Set(inTrouble.map(({ id }) => id))
  const upButInTrouble = loops.filter(
    task => isUp(task) && !listed.has(task.id) && (isOnProbe(task, now) || bad.has(task.id) || long.has(task.id)),
  )
  const needAttention = [...inTrouble, ...upButInTrouble, ...failed]
  const attention = needAttention.slice(0, mostAttention)
  const running = runningNow.filter(({ id }) => !upButInTrouble.some(task => task.id === id))
  // How it ended is half of the reason why a task is where it is, and what makes a loop that is up again worth a look.
  const lastRuns = await lastEndedOf(db, [...attention, ...running.filter(({ execType }) => execType === 'FOREVER')])
  const counts = status.counts
  const catalog = attention.length > 0 ? await catalogAtHand(panel) : null
  const isEmpty = counts !== null && Object.values(counts).every(count => count === 0)
  return {
    status,
    counts,
    ended,
    loopsUp: status.loops?.filter(task => task.state === 'running').length ?? 0,
    loopsWanted: status.loops?.filter(task => task.wanted === 'up').length ?? 0,
    strips: await loopStrips(db, status.loops ?? [], now),
    moreLoops: Math.max(0, (status.loops?.length ?? 0) - mostStrips),
    attention: await Promise.all(
      attention.map(async task => ({
        ...explained(task, { lastRun: lastRuns.get(task.id), longIteration: long.get(task.id), badEnds: bad.get(task.id) }),
        // What code throws that was given something else than it asks for tells less than what it asks for.
        paramFaults: await paramFaults(panel, catalog?.get(task.action) ?? null, task),
      })),
    ),
    hasMoreAttention: needAttention.length > attention.length,
    running: running.map(task => ({ ...explained(task, { lastRun: lastRuns.get(task.id) }), beat: beatOf(panel, task) })),
    // In the order in which they come; what is due already comes first.
    next: [
      ...next.map(task => ({ at: task.runAt, schedule: null, ...explained(task) })),
      ...planned.map(({ id, name, action, nextAt }) => ({ at: nextAt!, schedule: { id, name, action, nextAt } })),
    ]
      .sort((a, b) => a.at - b.at)
      .slice(0, 8),
    recent: recent.tasks.map(task => redactionOf(panel.config).task(task)),
    isEmpty,
    ownFile: join(shownFolder(panel.config.actions[0]!), 'my', 'first.ts'),
    hasExample: isEmpty && (await panel.background.catalog()).get(exampleLoop)?.error === null,
    disk: diskOf(panel.config.runtime),
  }
}

const isUp = ({ state }: Task) => state === 'running' || state === 'starting'

/** As it is called in the folder of the application, when it lies in there. */
const shownFolder = (folder: string): string => {
  const inside = relative(workRoot, folder)
  return inside.startsWith('..') ? folder : inside
}

/** null when the actions cannot be listed, or not at once: a file that takes its time does not hold up the page that is looked at first. */
const catalogAtHand = ({ background }: Pick<Panel, 'background'>) =>
  Promise.race([background.catalog().catch(() => null), delay(catalogWaitMs, null, { ref: false })])
const catalogWaitMs = 200

/** What the newest run of a task says of itself, when it runs on this host. */
export const beatOf = ({ config }: Pick<Panel, 'config'>, task: Pick<Task, 'id' | 'number'>) => {
  const { folder, beat } = runtimePaths(config.runtime).run(runName(task.id, task.number))
  const told = readBeat(beat)
  return told && redactionOf(config).beat(told, folder)
}

const diskOf = (folder: string) => {
  const { freeBytes, sizeBytes } = diskSpace(folder)
  return { freeBytes, freePart: sizeBytes === 0 ? 1 : freeBytes / sizeBytes }
}
