import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeScene } from '../helpers/scene.ts'

test('actions in a folder of the user’s own, outside of the checkout, TypeScript and JavaScript, import us by name', async t => {
  const actions = mkdtempSync(join(tmpdir(), 'bgtask-own-'))
  t.after(() => rmSync(actions, { recursive: true, force: true }))
  mkdirSync(join(actions, 'my'))
  const body = `import { defineAction, success } from 'bgtask'
    export default defineAction({ description: 'mine', execute: ({ params }) => success('hello ' + params.name) })`
  writeFileSync(join(actions, 'my', 'typed.ts'), `${body}\nexport const unused: number = 1\n`)
  writeFileSync(join(actions, 'my', 'plain.mjs.js'), 'export {}')
  writeFileSync(join(actions, 'my', 'plain.js'), body)
  const scene = await makeScene(t, { env: { BGTASK_ACTIONS: actions } })
  const { entries: all } = await scene.background.catalog()
  const entries = all.filter(({ name }) => !name.startsWith('core/'))
  assert.deepEqual(
    entries.map(({ name, error, description }) => ({ name, error, description })),
    ['my/plain', 'my/typed'].map(name => ({ name, error: null, description: 'mine' })),
  )
  const supervisor = await scene.supervise()
  for (const { name } of entries) {
    const { id } = await scene.background.addTask(name, { name: 'ada' })
    assert.equal((await scene.untilState(id, ['succeeded', 'failed'])).content, 'hello ada')
  }
  await supervisor.stop()
})
