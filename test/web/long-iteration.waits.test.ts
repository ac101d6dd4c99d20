import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { ring } from '../../app/runs/doorbell.ts'
import { wishFresh } from '../../app/store/wishes.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { makeScene, until } from '../helpers/scene.ts'

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'causes')

// It waits for the minute after which an iteration is called long.
test('an iteration without end is told by the overview and the loop’s page, with what it does, also where the action says nothing of stalls', {
  timeout: 300_000,
}, async t => {
  const scene = await makeScene(t, { env: { BGTASK_ACTIONS: fixtures } })
  const panel = await openPanel(t, { env: { BGTASK_RUNTIME: scene.runtime, BGTASK_ACTIONS: fixtures } })
  const viewer = await panel.signIn('viewer')
  const supervisor = await scene.supervise()
  const add = async (action: string) => (await scene.background.addTask(action, {}, { execType: 'FOREVER', graceMs: 1_000 })).id
  const hangs = await add('fails/hangs-at-last')
  const spins = await add('fails/spins-at-last')
  const well = await add('fails/runs-well')
  const ask = async (url: string, language = 'en') =>
    (await panel.ask({ url, as: viewer, headers: { 'accept-language': language } })).body.replace(/\s+/g, ' ')
  const attention = async (id: number, language?: string): Promise<string> => {
    const card = /<ul class="lines">[\s\S]*?<\/ul>/.exec((await ask('/admin', language)).split('class="strips"')[0]!)?.[0] ?? ''
    return textOf((card.match(/<li class="line">.*?<\/li>/g) ?? []).find(line => line.includes(`/core/bgtask/${id}"`)) ?? '')
  }
  const head = async (id: number) =>
    textOf(/<div class="card why.*?<dl class="facts strip">/.exec(await ask(`/admin/core/bgtask/${id}`))?.[0] ?? '')
  const tells = (id: number, what: RegExp) =>
    until(
      `the line of ${id} and its page tell ${what}`,
      async () => what.test(await attention(id)) && what.test(await head(id)),
      140_000,
      async () => `${await attention(id)}\n${await head(id)}`,
    )

  const far = /It is up, but the iteration under way began .* takes far longer than usual: 95 of 100 before it took at most [\d.]+ ms/
  for (const id of [hangs, spins]) await tells(id, far)
  assert.match(await attention(hangs, 'zh-CN'), /本轮迭代于.*开始，用时远超以往/)
  assert.match(await attention(hangs), /With stallMs its action can say/)
  await tells(hangs, /It waits and takes next to no CPU/)
  await tells(spins, /It computes without a pause, so its event loop is blocked/)
  assert.equal(await attention(well), '')
  assert.equal((await scene.task(hangs)).state, 'running', 'it is told, and nothing is done to it')

  await wishFresh(scene.background.db, hangs, 'kim', Date.now())
  ring(scene.runtime)
  await until('nobody has to look at it any more', async () => (await attention(hangs)) === '' && (await scene.task(hangs)).number === 2)
  await supervisor.stop()
})

const textOf = (html: string) => html.replace(/<[^>]+>/g, '').trim()
