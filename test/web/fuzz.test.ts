import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, test } from 'node:test'
import { makeToken } from '../../app/api/tokens.ts'
import { fuzzed, runFuzz } from '../helpers/fuzz.ts'
import { listenPanel } from '../helpers/listening-panel.ts'

/*
 * Hostile inputs by the thousand (fast-check). BGTASK_FUZZ_SEED repeats a run, BGTASK_FUZZ_RUNS multiplies it (0.1, 10);
 * `node scripts/fuzz.ts` is the long one.
 */

const seed = Number(process.env.BGTASK_FUZZ_SEED ?? randomInt(2 ** 31))
const factor = Number(process.env.BGTASK_FUZZ_RUNS ?? 1)

const panel = await listenPanel()
after(() => panel.close())

for (const one of await fuzzed(panel)) {
  const runs = Math.max(1, Math.round(one.runs.short * factor))
  test(one.name, { timeout: 240_000 }, async t => {
    t.diagnostic(`BGTASK_FUZZ_SEED=${seed}, ${runs} inputs`)
    await runFuzz(one, { seed, runs })
  })
}
test('what the fuzz has found stays mended: JSON that is too deep for whoever walks through it', async () => {
  const wish = { name: 'fuzz', scopes: ['task:add:test/*'] }
  const { text } = await makeToken(panel.background.db, { name: 'the fuzz', ip: null, via: 'command-line' }, wish)
  const deep = (open: string, close: string, depth: number) => `${open.repeat(depth)}1${close.repeat(depth)}`
  for (const nested of [deep('[', ']', 5_000), deep('{"a":', '}', 5_000)]) {
    for (const body of [
      `{"action":"","params":${nested}}`,
      `{"action":7,"params":${nested}}`,
      `{"action":"test/ok","options":${nested}}`,
      nested,
      `[${nested}]`,
    ]) {
      const headers = { authorization: `Bearer ${text}`, 'content-type': 'application/json' }
      const answer = await panel.ask({ method: 'POST', url: '/api/v1/tasks', headers, body: Buffer.from(body) })
      assert.equal(answer.status, 422, answer.body.slice(0, 300))
    }
  }
})

test('the panel is as well as before', async () => {
  const { status } = await panel.ask({ url: '/healthz' })
  assert.equal(status, 200)
})
