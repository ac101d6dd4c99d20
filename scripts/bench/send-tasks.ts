import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { makeToken } from '../../app/api/tokens.ts'
import { startMariaDb } from '../../test/helpers/mariadb.ts'
import { mariadbMissing } from '../../test/helpers/tools.ts'
import { type Figure, makeFigure } from './figure.ts'
import type { Sending, Sent } from './sender.ts'
import { servePanel } from './serve-panel.ts'
import { benchActions, openStage, type Stage } from './stage.ts'

const tasks = 100_000
/** As many as the client sends in one request. */
const atOnce = 500
const comparedBatches = 40
/** Of the client: what it does not need to keep has to go, and all tasks at once would not fit. */
const smallHeap = ['--max-old-space-size=40', '--max-semi-space-size=1']

/** 100,000 tasks by one call of the client, in a process of its own, to a panel in another; beside addTasks without anything between. */
export const measure = async (): Promise<Figure[]> => {
  const figures = await on('SQLite, synchronous=FULL')
  if (mariadbMissing()) return figures
  const server = await startMariaDb()
  try {
    return [...figures, ...(await on('MariaDB, flush at commit', await server.newDatabase()))]
  } finally {
    await server.stop()
  }
}

const on = async (where: string, databaseUrl?: string): Promise<Figure[]> => {
  await using stage = await openStage({ actions: benchActions, ...(databaseUrl ? { databaseUrl } : {}) })
  const bare = await addedHere(stage)
  await using panel = await openPanel(stage, databaseUrl)
  const owner = { name: 'bench', ip: null, via: 'form' } as const
  const { text: token } = await makeToken(stage.background.db, owner, { name: 'bench', scopes: ['task:add:bench/*', 'task:read'] })
  const sending: Sending = { url: panel.address, token, tasks }
  panel.forgetPeak()
  const beforeMb = panel.memoryMb('VmRSS')
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...smallHeap,
    join(import.meta.dirname, 'sender.ts'),
    JSON.stringify(sending),
  ])
  const sent = JSON.parse(stdout) as Sent
  const peakMb = panel.memoryMb('VmHWM')
  if (sent.added !== tasks) throw new Error(`Only ${sent.added} were added.`)
  return [
    makeFigure({
      figure: `sendTasks of 100,000 (${where})`,
      unit: '/s',
      ours: tasks / (sent.tookMs / 1000),
      limit: { is: `addTasks of ${atOnce} in this process`, value: bare },
      aim: { of: 'ratio', atLeast: 0.3 },
      note: `${(sent.tookMs / 1000).toFixed(1)} s; never more than ${sent.mostHeld} taken and not answered`,
    }),
    makeFigure({
      figure: `memory of the client meanwhile, its heap 40 MB (${where})`,
      unit: 'MB',
      ours: sent.peakMb,
      limit: { is: 'before the first task', value: sent.beforeMb },
      aim: { of: 'ours', atMost: 150 },
      note: `${sent.beforeMb.toFixed(0)} MB before, ${sent.peakMb.toFixed(0)} MB at most`,
    }),
    makeFigure({
      figure: `memory of the panel meanwhile (${where})`,
      unit: 'MB',
      ours: peakMb,
      limit: { is: 'before the first task', value: beforeMb },
      aim: { of: 'ours', atMost: 400 },
      note: `${beforeMb.toFixed(0)} MB before, ${peakMb.toFixed(0)} MB at most`,
    }),
  ]
}

/** Tasks per second. */
const addedHere = async ({ background }: Stage): Promise<number> => {
  const batch = Array.from({ length: atOnce }, (_, number) => ({
    action: 'bench/no-op',
    params: { number, text: `what the task is about, number ${number}` },
  }))
  await background.addTasks(batch)
  const from = performance.now()
  for (let n = 0; n < comparedBatches; n++) await background.addTasks(batch)
  return (comparedBatches * atOnce) / ((performance.now() - from) / 1000)
}

const openPanel = async ({ runtime }: Stage, databaseUrl: string | undefined) => {
  const panel = await servePanel(runtime, { BGTASK_ACTIONS: benchActions, ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}) })
  return {
    ...panel,
    memoryMb: (what: 'VmRSS' | 'VmHWM') =>
      (Number(new RegExp(`^${what}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${panel.pid}/status`, 'utf8'))![1]) * 1024) / 1e6,
    /** The peak of its start is none of ours. */
    forgetPeak: () => writeFileSync(`/proc/${panel.pid}/clear_refs`, '5'),
  }
}
