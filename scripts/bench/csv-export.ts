import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listRuns } from '../../app/store/list-runs.ts'
import { bareNode } from './bare-node.ts'
import { type Figure, makeFigure } from './figure.ts'
import { openStage, ourActions } from './stage.ts'
import { spread } from './statistics.ts'
import { until } from './until.ts'

const rounds = 5
const rows = 5_000_000

/** demo/csv-export as a run of the supervisor, against a script that makes and writes the same rows and does nothing else. */
export const measure = async (): Promise<Figure[]> => {
  await using stage = await openStage({ actions: ourActions })
  const { background } = stage
  const bare = bareNode(stage.folder)
  const script = join(stage.folder, 'write-rows.cjs')
  writeFileSync(script, writeLoop)
  await stage.supervise()
  const exportRows = async (count: number) => {
    const { id } = await background.addTask('demo/csv-export', { rows: count })
    await until('the export has ended', async () => (await stage.count({ state: ['waiting', 'running'] })) === 0, { everyMs: 20 })
    const [run] = await listRuns(background.db, id, { limit: 1 })
    if (run?.outcome !== 'succeeded' || !run.content) throw new Error(`The export ended as ${run?.outcome}: ${run?.content}`)
    const bytes = statSync(run.content).size
    rmSync(run.content)
    return { perSecond: count / ((run.endedAt! - run.startedAt) / 1000), bytes, peakMb: (run.peakMemoryBytes ?? Number.NaN) / 1e6 }
  }
  const bareRows = async (count: number) => {
    const path = join(stage.folder, 'bare.csv')
    const perSecond = count / ((await bare.runMs(script, path, String(count))) / 1000)
    const bytes = statSync(path).size
    rmSync(path)
    return { perSecond, bytes }
  }
  await exportRows(1_000)
  await bareRows(1_000)
  const ours: Awaited<ReturnType<typeof exportRows>>[] = []
  const limit: Awaited<ReturnType<typeof bareRows>>[] = []
  for (let round = 0; round < rounds; round++) {
    limit.push(await bareRows(rows))
    ours.push(await exportRows(rows))
  }
  if (ours[0]!.bytes !== limit[0]!.bytes) throw new Error(`The export wrote ${ours[0]!.bytes} bytes, the bare loop ${limit[0]!.bytes}`)
  const perSecond = ours.map(one => one.perSecond)
  return [
    makeFigure({
      figure: 'csv-export, rows',
      unit: '/s',
      ours: perSecond,
      limit: { is: 'a bare write loop', value: limit.map(one => one.perSecond) },
      aim: { of: 'ratio', atLeast: 0.5 },
      note: `${rows} rows, from start to end of the process; ours ${spread(perSecond)}`,
    }),
    makeFigure({
      figure: 'csv-export, peak memory',
      unit: 'MB',
      ours: Math.max(...ours.map(one => one.peakMb)),
      limit: null,
      aim: { of: 'ours', atMost: 150 },
      note: 'highest resident memory of a run',
    }),
  ]
}

const writeLoop = `
const fs = require('fs')
const [path, count] = process.argv.slice(2)
const rows = Number(count)
const file = fs.openSync(path, 'w')
fs.writeSync(file, '\\ufeffnum,datetime\\r\\n')
const end = ',2026-01-31 08:05:09\\r\\n'
for (let done = 0; done < rows; ) {
  const until = Math.min(rows, done + 5000)
  let text = ''
  while (done < until) text += ++done + end
  fs.writeSync(file, text)
}
fs.closeSync(file)
`
