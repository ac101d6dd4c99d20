import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inPackage } from '../../app/paths.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { makeScene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

const views = 600

for (const dialect of dialects) {
  describe(`demo/page-view, a resident runner, on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('one process counts all views; when it is killed in the midst of them none is lost and none counted twice', {
      timeout: 90_000,
    }, async t => {
      const scene = await makeScene(t, { databaseUrl: await dialect.newUrl(), env: { BGTASK_ACTIONS: inPackage('app', 'actions') } })
      const supervisor = await scene.supervise()
      const { background } = scene
      const database = background.db.kysely.withTables<{ demo_page_view: { task: number; page: string } }>()
      const view = (page: string) => ({ action: 'demo/page-view', params: { page } })

      const first = await background.addTask('demo/page-view', { page: '/' })
      await scene.untilState(first.id, 'succeeded', 30_000)
      const { pid, residentTask } = (await scene.runs(first.id))[0]!
      assert.equal(residentTask, 1)
      assert.ok(pid)
      const second = await background.addTask('demo/page-view', { page: '/' })
      await scene.untilState(second.id, 'succeeded', 30_000)
      assert.deepEqual(
        (await scene.runs(second.id)).map(run => [run.pid, run.residentTask]),
        [[pid, 2]],
      )

      await until('the supervisor tells of it', () => readSupervisor(scene.runtime)?.residents?.[0]?.pid === pid)

      const all = await background.addTasks(Array.from({ length: views }, (_, n) => view(`/article/${n % 3}`)))
      const counted = async () => (await database.selectFrom('demo_page_view').select(['task', 'page']).execute()).length
      await until('some are counted', async () => (await counted()) > 20)
      process.kill(pid, 'SIGKILL')
      for (const { id } of all) await scene.untilState(id, 'succeeded', 60_000)
      const outcomes = (await Promise.all(all.map(({ id }) => scene.runs(id)))).flat().map(run => run.outcome)
      assert.equal(outcomes.filter(outcome => outcome === 'succeeded').length, views)
      assert.ok(outcomes.length > views, 'it was in the midst of them')

      const rows = await database.selectFrom('demo_page_view').select(['task', 'page']).orderBy('task').execute()
      assert.deepEqual(
        rows.map(({ task }) => Number(task)),
        [first.id, second.id, ...all.map(({ id }) => id)],
      )
      assert.equal(rows.filter(({ page }) => page === '/article/0').length, views / 3)
      assert.equal(await supervisor.stop(), 0)
    })
  })
}
