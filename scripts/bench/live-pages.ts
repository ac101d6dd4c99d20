import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { ring } from '../../app/runs/doorbell.ts'
import { findTask } from '../../app/store/find-task.ts'
import { wishDown, wishUp } from '../../app/store/wishes.ts'
import { liveLimits } from '../../app/web/live-hub.ts'
import { moreSessions } from '../../test/helpers/more-sessions.ts'
import { cpuTimeMs } from './cpu-time.ts'
import { type Figure, makeFigure } from './figure.ts'
import { type MeasuredPanel, openPanel } from './open-panel.ts'
import { benchActions, openStage, type Stage } from './stage.ts'
import { percentile, spread } from './statistics.ts'
import { until } from './until.ts'

const loops = 20
const watchMs = 20_000
const calmMs = 8_000
const rounds = 20

/**
 * What 200 open tabs cost, half of them the overview, half the pages of 20 loops that do something once a second; and how long a change of state,
 * carried out by the supervisor, and a line of output take to a tab.
 */
export const measure = async (): Promise<Figure[]> => {
  await using stage = await openStage({ actions: benchActions })
  await stage.supervise()
  const added = await stage.background.addTasks(
    Array.from({ length: loops }, () => ({ action: 'bench/tells-time', params: { intervalMs: 1_000 }, options: 'FOREVER' as const })),
  )
  const ids = added.map(({ id }) => id)
  await until('all loops run', async () => (await stage.count({ state: ['running'] })) === loops, { everyMs: 50 })
  await using panel = await openPanel(stage.runtime, { BGTASK_ACTIONS: benchActions })
  const figures: Figure[] = []

  const cookies = [panel.cookie, ...moreSessions(stage.runtime, panel.cookie, liveLimits.inAll / liveLimits.perSession)].slice(1)
  const tabs: Tab[] = []
  for (let at = 0; at < liveLimits.inAll; at++)
    tabs.push(
      await openTab(
        panel,
        cookies[Math.floor(at / liveLimits.perSession)]!,
        at % 2 ? '/admin' : `/admin/core/bgtask/${ids[(at / 2) % loops]}`,
      ),
    )
  await sleep(calmMs)
  const bytesBefore = tabs.map(tab => tab.bytes())
  const cpuBeforeMs = cpuTimeMs(panel.pid).own
  const beganAt = performance.now()
  await sleep(watchMs)
  const watchedMs = performance.now() - beganAt
  const percent = ((cpuTimeMs(panel.pid).own - cpuBeforeMs) / watchedMs) * 100
  const perSecond = (odd: number) =>
    tabs.flatMap((tab, at) => (at % 2 === odd ? [((tab.bytes() - bytesBefore[at]!) / watchedMs) * 1_000] : []))
  figures.push(
    makeFigure({
      figure: "panel's CPU with 200 open tabs",
      unit: '%',
      ours: percent,
      limit: null,
      aim: { of: 'ours', atMost: 10 },
      note: `of one core, over ${watchMs / 1000} s; ${loops} loops, one iteration and one line a second each; ${panel.residentMb().toFixed(0)} MB`,
    }),
  )
  for (const [what, odd] of [
    ['the overview', 1],
    ["a loop's page, its loop at work", 0],
  ] as const)
    figures.push(
      makeFigure({
        figure: `bytes a second to a tab: ${what}`,
        unit: '/s',
        ours: perSecond(odd),
        limit: null,
        aim: { of: 'ours', atMost: 1_000 },
        note: spread(perSecond(odd)),
      }),
    )

  const lines = tabs.flatMap((tab, at) => (at % 2 === 0 ? tab.lineTimes : []))
  figures.push(
    makeFigure({
      figure: 'a line of output to a tab, p95',
      unit: 'ms',
      ours: percentile(lines, 95),
      limit: null,
      aim: { of: 'ours', atMost: 500 },
      note: `with 200 tabs open; p50 ${percentile(lines, 50).toFixed(0)} ms, ${lines.length} lines`,
    }),
  )
  const changes = await timeChanges(stage, ids[0]!, tabs[0]!)
  figures.push(
    makeFigure({
      figure: 'a change of state to a tab, p95',
      unit: 'ms',
      ours: percentile(changes, 95),
      limit: null,
      aim: { of: 'ours', atMost: 300 },
      note: `with 200 tabs open, from when its row says so; p50 ${percentile(changes, 50).toFixed(0)} ms, ${changes.length} changes`,
    }),
  )
  for (const tab of tabs) tab.close()
  return figures
}

interface Tab {
  bytes(): number
  /** Milliseconds from the print to the arrival of each line. */
  lineTimes: number[]
  /** Resolves when what comes in from now on has this text in it. */
  sees(text: string): Promise<void>
  close(): void
}

const openTab = ({ port, runtime }: MeasuredPanel, cookie: string, page: string): Promise<Tab> =>
  new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      path: `/admin/live?page=${encodeURIComponent(page)}`,
      headers: { cookie, accept: 'text/event-stream', 'accept-language': 'en', 'sec-fetch-site': 'same-origin' },
      agent: false,
    })
    sent.once('error', reject)
    sent.once('response', answer => {
      if (answer.statusCode !== 200) return reject(new Error(`A stream of ${runtime} was answered by ${answer.statusCode}.`))
      let bytes = 0
      const lineTimes: number[] = []
      let waiting: { text: string; done: () => void } | undefined
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        const text = chunk.toString()
        const now = Date.now()
        // What is shown again is no new line.
        if (text.includes('action="append"')) for (const [, at] of text.matchAll(/printed (\d{13})/g)) lineTimes.push(now - Number(at))
        if (!waiting || !text.includes(waiting.text)) return
        waiting.done()
        waiting = undefined
      })
      answer.once('error', () => undefined)
      resolve({
        bytes: () => bytes,
        lineTimes,
        sees: text =>
          new Promise(done => {
            waiting = { text, done }
          }),
        close: () => answer.destroy(),
      })
    })
    sent.end()
  })

/** A loop is stopped and started from elsewhere; the supervisor carries it out. */
const timeChanges = async ({ background, runtime }: Stage, id: number, tab: Tab): Promise<number[]> => {
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const wanted = round % 2 === 0 ? 'stopped' : 'running'
    const seen = tab.sees(wanted === 'stopped' ? '>Stopped<' : '>Running<').then(() => performance.now())
    await (wanted === 'stopped' ? wishDown : wishUp)(background.db, id, 'bench', Date.now())
    ring(runtime)
    await until(`it is ${wanted}`, async () => (await findTask(background.db, id))?.state === wanted, { everyMs: 1 })
    const from = performance.now()
    times.push(Math.max(0, (await seen) - from))
    await sleep(1_500 + Math.random() * 1_000)
  }
  return times
}
