import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { fuzzed, runFuzz } from '../test/helpers/fuzz.ts'
import { listenPanel } from '../test/helpers/listening-panel.ts'

/*
 * The long fuzz: `node scripts/fuzz.ts [part of a name …]` throws millions of hostile inputs at the panel and prints a report. The seed is in
 * it; BGTASK_FUZZ_SEED repeats a run, BGTASK_FUZZ_RUNS multiplies it. Leaves with 1 when something did not hold.
 */

const seed = Number(process.env.BGTASK_FUZZ_SEED ?? randomInt(2 ** 31))
const factor = Number(process.env.BGTASK_FUZZ_RUNS ?? 1)
const filters = process.argv.slice(2)

const panel = await listenPanel()
let failures = 0
try {
  const chosen = (await fuzzed(panel)).filter(({ name }) => filters.length === 0 || filters.some(part => name.includes(part)))
  if (chosen.length === 0) throw new Error(`Nothing is called ${filters.join(' or ')}.`)
  console.log(`BGTASK_FUZZ_SEED=${seed} · Node ${process.versions.node} · ${availableParallelism()} cores\n`)
  console.log('| what | inputs | seconds | |')
  console.log('| --- | ---: | ---: | --- |')
  for (const one of chosen) {
    const runs = Math.max(1, Math.round(one.runs.long * factor))
    const began = performance.now()
    const failure = await runFuzz(one, { seed, runs }).then(
      () => null,
      (error: Error) => error,
    )
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    console.log(`| ${one.name} | ${runs.toLocaleString('en')} | ${seconds} | ${failure ? '**failed**' : 'held'} |`)
    if (!failure) continue
    failures++
    console.log(`\n${failure.message}\n${failure.cause instanceof Error ? failure.cause.stack : ''}\n`)
  }
} finally {
  await panel.close()
}
process.exitCode = failures > 0 ? 1 : 0
