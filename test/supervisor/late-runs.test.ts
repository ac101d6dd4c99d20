import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { explainLateness } from '../../app/task/explain.ts'
import { translate } from '../../app/texts/translate.ts'
import { makeScene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

for (const dialect of dialects) {
  describe(`what came due while no supervisor ran, on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('is begun at once when one is back, in order, and each run says how late it was and why', { timeout: 120_000 }, async t => {
      const scene = await makeScene(t, { databaseUrl: await dialect.newUrl(), env: { BGTASK_MAX_RUNNING: '1' } })
      assert.equal(await (await scene.supervise()).stop(), 0)
      const leftAt = Date.now()
      // Adding takes longer the first time, and what is added after its time is not late.
      const dueFrom = leftAt + 5_000
      const add = (afterMs: number, priority = 0) => scene.background.addTask('test/ok', {}, { runAt: dueFrom + afterMs, priority })
      // Added in another order than they come due; the one that is due last comes first by its priority.
      const [third, first, second, urgent] = [await add(300), await add(100), await add(200), await add(400, -1)]
      await until('all of them are more than two seconds late', () => Date.now() > dueFrom + 2_500 || null, 20_000)
      const { info } = await scene.supervise()
      const begun: { id: number; at: number }[] = []
      for (const task of [urgent, first, second, third]) {
        await scene.untilState(task.id, 'succeeded', 60_000)
        const [run] = await scene.runs(task.id)
        begun.push({ id: task.id, at: run!.startedAt })
        assert.equal(run!.dueAt, task.runAt)
        assert.ok(run!.downFrom! <= leftAt && run!.downFrom! > leftAt - 60_000, `${run!.downFrom} ${leftAt}`)
        assert.ok(Math.abs(run!.downTo! - info.startedAt) < 5_000 && run!.downTo! > task.runAt)
        const late = explainLateness(run!)
        assert.equal(late?.key, 'late.down')
        assert.match(translate('en', late!.key, late!.values), /^Run 1 began \S+ s late: no supervisor ran here from .* UTC to .* UTC\.$/)
      }
      assert.deepEqual(
        [...begun].sort((a, b) => a.at - b.at).map(({ id }) => id),
        begun.map(({ id }) => id),
      )
      // In time again: nothing is said.
      const now = await scene.background.addTask('test/ok')
      await scene.untilState(now.id, 'succeeded', 60_000)
      assert.equal((await scene.runs(now.id))[0]!.downTo, null)
    })
  })
}
