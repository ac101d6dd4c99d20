import { setTimeout as delay } from 'node:timers/promises'
import { askCron, cronAction } from '../api/ask-cron.ts'
import type { Background } from '../api/background.ts'
import { cronFacts } from '../cron/cron-facts.ts'
import { readCronKey, renewCronKey } from '../cron/cron-key.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import { readCron } from '../store/cron.ts'
import { type CronPart, listParts } from '../store/cron-parts.ts'
import { findTask } from '../store/find-task.ts'
import { listTasks } from '../store/list-tasks.ts'
import { queueStand } from '../store/queues.ts'
import { isFinal, type Task } from '../task/task.ts'
import { panelAddress } from '../web/panel-address.ts'
import { actor, commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { formatTimeOrDash, note, print, printJson } from './print.ts'
import { formatTable } from './table.ts'

export const runCronRun = async ({ wait, json }: { wait?: boolean; json?: boolean }): Promise<number> =>
  withBackground(async background => {
    const { task, added } = await askCron(background, { creator: actor(), actor: commandLine() })
    const isDown = readSupervisor(background.config.runtime) === null
    if (!wait) {
      if (json) printJson({ ...redactionOf(background.config).task(task), added })
      else
        print(
          added ? `Cron is asked for: task ${task.id}.` : `Cron ${task.state === 'running' ? 'runs' : 'waits'} already: task ${task.id}.`,
        )
      if (isDown) note('The supervisor does not run on this host; start starts it.')
      return exitCodes.done
    }
    if (isDown) note('The supervisor does not run on this host; unless another host has one, this waits until somebody starts it.')
    const ended = redactionOf(background.config).task(await endOf(background, task))
    if (json) printJson({ ...ended, added })
    else print(`Cron ${ended.state} (task ${ended.id})${ended.content ? `: ${ended.content}` : '.'}`)
    return ended.state === 'succeeded' ? exitCodes.done : exitCodes.failed
  })

const endOf = async ({ db }: Background, { id }: Task): Promise<Task> => {
  for (;;) {
    const task = await findTask(db, id)
    if (task === null) throw new BgtaskError('not-found', `Task ${id} was deleted while it was waited for.`)
    if (isFinal(task.state)) return task
    await delay(200)
  }
}

/** Only the address goes to stdout, so that a script can take it. */
export const runCronKey = async ({ renew, json }: { renew?: boolean; json?: boolean }): Promise<number> =>
  withBackground(async ({ db, config }) => {
    const tools = { db, config }
    const there = renew ? null : await readCronKey(tools)
    const key = there ?? (await renewCronKey(tools, commandLine()))
    if (key.text === null) {
      throw new BgtaskError(
        'failed',
        'The key was made on another host, and the database has only a fingerprint of it. Ask there, or make a new one: cron key --renew',
      )
    }
    const url = `${panelAddress({ ...config, prefix: '' })}/cron/${key.text}`
    if (json) printJson({ url, key: key.text, madeAt: key.madeAt, madeBy: key.madeBy })
    else {
      if (there === null) note('A key is made; one that was there before opens nothing any more.')
      print(url)
    }
    return exitCodes.done
  })

export const runCronStatus = async ({ json }: { json?: boolean }): Promise<number> =>
  withBackground(async ({ db, config }) => {
    const { modules, queues } = await cronFacts(config)
    const [cron, parts, history] = await Promise.all([readCron(db), listParts(db), listTasks(db, { action: cronAction }, { limit: 1 })])
    const redaction = redactionOf(config)
    const partOf = (kind: CronPart['kind'], name: string) => parts.find(part => part.kind === kind && part.name === name)
    const shown = (part: CronPart | undefined) => ({
      lastAt: part?.startedAt ?? null,
      tookMs: part?.endedAt ? part.endedAt - part.startedAt : null,
      outcome: part === undefined ? 'never' : (part.outcome ?? (cron.lock?.taskId === part.taskId ? 'running' : 'died')),
      error: part?.error ? redaction.text(part.error) : null,
    })
    const rows: Row[] = [
      ...modules
        .filter(({ hook }) => hook)
        .map(({ name }) => ({ kind: 'hook', name, ...shown(partOf('hook', name)), waiting: null, aside: null, oldestAt: null })),
      ...(await Promise.all(
        queues.map(async ({ name }) => ({ kind: 'queue', name, ...shown(partOf('queue', name)), ...(await queueStand(db, name)) })),
      )),
    ]
    const broken = modules.flatMap(({ name, error }) => (error === null ? [] : [{ name, error: redaction.text(error) }]))
    const last = history.tasks[0] ? redaction.task(history.tasks[0]) : null
    if (json) printJson({ last, everyMs: cron.everyMs, parts: rows, broken })
    else {
      print(
        last === null
          ? 'Cron has not run yet.'
          : `The last run is task ${last.id}, ${last.state}${last.content ? `: ${last.content}` : '.'}`,
      )
      if (rows.length > 0) print(formatTable(columns, rows))
      else print(`There is no hook and no queue in ${config.modules}.`)
      for (const { name, error } of broken) note(`The module ${name} cannot be used: ${error}`)
    }
    return exitCodes.done
  })

interface Row {
  kind: string
  name: string
  lastAt: number | null
  tookMs: number | null
  outcome: string
  error: string | null
  waiting: number | null
  aside: number | null
  oldestAt: number | null
}

const dashed = (n: number | null) => (n === null ? '-' : n > 10_000 ? '10000+' : String(n))

const columns = [
  { title: 'kind', value: (row: Row) => row.kind },
  { title: 'name', value: (row: Row) => row.name },
  { title: 'last', value: (row: Row) => row.outcome },
  { title: 'began', value: (row: Row) => formatTimeOrDash(row.lastAt) },
  { title: 'ms', value: (row: Row) => dashed(row.tookMs), right: true },
  { title: 'waiting', value: (row: Row) => dashed(row.waiting), right: true },
  { title: 'oldest', value: (row: Row) => formatTimeOrDash(row.oldestAt) },
  { title: 'aside', value: (row: Row) => dashed(row.aside), right: true },
  { title: 'error', value: (row: Row) => row.error ?? '', flexible: true },
]
