import { existsSync } from 'node:fs'
import { cronAction } from '../api/ask-cron.ts'
import type { Background } from '../api/background.ts'
import type { Config } from '../config.ts'
import { cronFacts } from '../cron/cron-facts.ts'
import { BgtaskError } from '../errors.ts'
import { ourCommand, workRoot } from '../paths.ts'
import { hostId } from '../runs/host-id.ts'
import { isAlive } from '../runs/process-identity.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { type Cron, readCron } from '../store/cron.ts'
import { type CronPart, listParts } from '../store/cron-parts.ts'
import { findTaskByKey } from '../store/find-task.ts'
import { listSchedules } from '../store/list-schedules.ts'
import { listTasks } from '../store/list-tasks.ts'
import { queueStand, queuesWithItems } from '../store/queues.ts'
import { nextAfterRequest } from '../task/cron-rules.ts'
import { isFinal } from '../task/task.ts'
import { beatOf } from './overview.ts'

const historyShown = 10
const schedulesRead = 500

/** How a hook or queue stands, as one word. */
export type PartState = 'never' | 'running' | 'done' | 'failed' | 'some-failed' | 'interrupted' | 'died'

/** Everything on the page of cron; the same for all readers. */
export const cronModel = async (panel: { config: Config; background: Background }) => {
  const { config, background } = panel
  const { db } = background
  const redaction = redactionOf(config)
  const [facts, cron, parts, holder, history, schedules, withItems] = await Promise.all([
    factsOf(config),
    readCron(db),
    listParts(db),
    findTaskByKey(db, cronAction),
    listTasks(db, { action: cronAction }, { limit: historyShown }),
    listSchedules(db, { limit: schedulesRead }),
    queuesWithItems(db),
  ])
  const live = holder !== null && !isFinal(holder.state) ? holder : null
  const runningTask = runs(config, cron, live)
  const partTold = (kind: CronPart['kind'], name: string) => {
    const part = parts.find(one => one.kind === kind && one.name === name) ?? null
    const shown = part && { ...part, error: part.error === null ? null : redaction.text(part.error) }
    return { part: shown, state: stateOf(part, runningTask), tookMs: part?.endedAt ? part.endedAt - part.startedAt : null }
  }
  const known = facts.queues.map(({ name }) => name)
  const queues = await Promise.all([
    ...facts.queues.map(async queue => ({ ...queue, ...partTold('queue', queue.name), stand: await queueStand(db, queue.name) })),
    // Their module is gone, or does not load: what waits in them is there all the same.
    ...withItems
      .filter(name => !known.includes(name))
      .map(async name => ({
        name,
        module: null,
        timeMs: null,
        skipOnCron: true,
        ...partTold('queue', name),
        stand: await queueStand(db, name),
      })),
  ])
  const next = [
    ...schedules
      .filter(({ action, nextAt }) => action === cronAction && nextAt !== null)
      .map(({ id, name, nextAt }) => ({ at: nextAt!, id, name })),
  ].sort((a, b) => a.at - b.at)
  const shownTasks = history.tasks.map(task => redaction.task(task))
  return {
    modules: facts.modules.map(module => ({ ...module, error: module.error === null ? null : redaction.text(module.error) })),
    trouble: facts.trouble,
    hooks: facts.modules.filter(({ hook }) => hook).map(({ name }) => ({ name, ...partTold('hook', name) })),
    queues,
    live: live && { task: redaction.task(live), beat: runningTask === live.id ? beatOf(panel, live) : null },
    last: shownTasks.find(task => isFinal(task.state)) ?? null,
    history: shownTasks,
    everyMs: cron.everyMs,
    next,
    afterRequestAt: nextAfterRequest(cron),
    folder: config.modules,
  }
}

/** Lines for a crontab. @param address of the panel, as people reach it */
export const crontabLines = (config: Config, address: string) => {
  const every = '*/15 * * * *'
  const key = runtimePaths(config.runtime).cronKey
  return {
    command: `${every} cd ${quoted(workRoot)} && ${ourCommand} cron run`,
    // By way of stdin: what stands in a command can be seen by everybody on the machine.
    local: `${every} sed 's/^/X-Cron-Key: /' ${quoted(key)} | curl -fsS -o /dev/null -X POST -H @- ${address}/cron`,
    hasKey: existsSync(key),
    remote: (text: string) => `${every} curl -fsS -o /dev/null ${address}/cron/${text}`,
  }
}

const quoted = (path: string) => (/^[\w@+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)

// The page is there to say so.
const factsOf = async (config: Config) => {
  try {
    return { ...(await cronFacts(config)), trouble: null }
  } catch (error) {
    return {
      modules: [],
      queues: [],
      trouble: error instanceof BgtaskError ? error.sentence : redactionOf(config).text((error as Error).message),
    }
  }
}

/** Id of the task whose run works now; null: none does. */
const runs = (config: Config, { lock }: Cron, live: { id: number; state: string } | null): number | null => {
  if (lock === null) return null
  if (live?.id === lock.taskId && live.state === 'running') return lock.taskId
  // By hand, say.
  return lock.host === hostId(config.runtime) && isAlive(lock) ? lock.taskId : null
}

const stateOf = (part: CronPart | null, runningTask: number | null): PartState => {
  if (part === null) return 'never'
  if (part.endedAt === null) return part.taskId === runningTask ? 'running' : 'died'
  if (part.outcome === 'done' && part.failed + part.setAside > 0) return 'some-failed'
  return part.outcome ?? 'died'
}
