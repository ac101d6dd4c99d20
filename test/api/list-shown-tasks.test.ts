import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { listShownTasks } from '../../app/api/list-shown-tasks.ts'
import { makeScene } from './scene.ts'

test('a text search tells nothing of hidden params: neither rows nor cursors differ for a right guess', async t => {
  const { config } = await makeScene(t)
  const background = await openBackground(config)
  t.after(() => background.close())
  const add = (params: object) => background.addTask('test/plain', params as never, { delayMs: 3_600_000 })
  const decoy = () => add({ note: 'qq7k and zz7k' })
  const secret = () => add({ password: 'qq7kangaroo9' })
  const all: number[] = []
  const see = async (text: string, limit: number, at: { after?: string; before?: string } = {}) => {
    const { tasks, newer, older } = await listShownTasks(config, background.db, { text }, { limit, ...at })
    return { ids: tasks.map(({ id }) => id), newer, older }
  }
  const compare = async () => {
    for (const limit of [1, 2, 3, 4, 5, 6, 50]) {
      const newest = all.at(-1)! + 1
      for (const at of [{}, ...Array.from({ length: newest + 2 }, (_, id) => [{ after: String(id) }, { before: String(id) }]).flat()]) {
        const right = await see('qq7k', limit, at)
        assert.deepEqual(right, await see('zz7k', limit, at), JSON.stringify({ limit, at }))
        for (const id of right.ids) assert.ok(all.includes(id))
        const cursors = [right.newer, right.older].filter(cursor => cursor !== null)
        for (const cursor of cursors) assert.ok(all.includes(Number(cursor)) || Object.values(at).includes(cursor), cursor)
      }
    }
  }
  // Oldest, between, and newest: each time the page ends beside it for some limit.
  await secret()
  for (let n = 0; n < 3; n++) all.push((await decoy()).id)
  await compare()
  await secret()
  await secret()
  for (let n = 0; n < 2; n++) all.push((await decoy()).id)
  await secret()
  await compare()

  // All that is shown is reached, in both directions.
  const down: number[] = []
  let page = await see('qq7k', 2)
  for (;;) {
    down.push(...page.ids)
    if (page.older === null) break
    page = await see('qq7k', 2, { after: page.older })
  }
  assert.deepEqual(down, [...all].reverse())
  assert.deepEqual((await see('qq7k', 2, { before: page.newer! })).ids, down.slice(2, 4))
})
