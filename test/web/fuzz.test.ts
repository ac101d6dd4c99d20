import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { fuzzed, runFuzz } from '../helpers/fuzz.ts'
import { listenPanel } from '../helpers/listening-panel.ts'

/*
 * Hostile inputs by the thousand (fast-check). BGTASK_FUZZ_SEED repeats a run, BGTASK_FUZZ_RUNS multiplies it (0.1, 10);
 * `node scripts/fuzz.ts` is the long one.
 */

const seed = Number(process.env.BGTASK_FUZZ_SEED ?? randomInt(2 ** 31))
const factor = Number(process.env.BGTASK_FUZZ_RUNS ?? 1)

const panel = await listenPanel()
for (const one of await fuzzed(panel)) {
  const runs = Math.max(1, Math.round(one.runs.short * factor))
  test(one.name, { timeout: 240_000 }, async t => {
    t.diagnostic(`BGTASK_FUZZ_SEED=${seed}, ${runs} inputs`)
    await runFuzz(one, { seed, runs })
  })
}
test('the panel is as well as before', async t => {
  t.after(() => panel.close())
  const { status } = await panel.ask({ url: '/healthz' })
  if (status !== 200) throw new Error(`it answers ${status}`)
})
