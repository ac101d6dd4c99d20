import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ring } from '../../app/runs/doorbell.ts'
import { askReload } from '../../app/runs/flags.ts'
import { editTask } from '../../app/store/edit-task.ts'
import { wishDown, wishFresh } from '../../app/store/wishes.ts'
import { termsOf } from '../../app/task/edit.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { makeScene, until } from '../helpers/scene.ts'

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'causes')

/** A panel and supervisors on one folder; `life` is what the page tells of a run in its table. */
const open = async (t: TestContext) => {
  const scene = await makeScene(t, { env: { BGTASK_ACTIONS: fixtures } })
  const panel = await openPanel(t, { env: { BGTASK_RUNTIME: scene.runtime, BGTASK_ACTIONS: fixtures } })
  const viewer = await panel.signIn('viewer')
  const life = async (id: number, number: number, language = 'en'): Promise<string> => {
    const { body } = await panel.ask({ url: `/admin/core/bgtask/${id}`, as: viewer, headers: { 'accept-language': language } })
    const rows = /<section id="task-runs"[\s\S]*?<\/section>/.exec(body)?.[0].split('<tr') ?? []
    const row = rows.find(html => html.includes(`run=${number}#output`)) ?? ''
    return (/<span class="ended[\s\S]*?<\/td>/.exec(row)?.[0] ?? '')
      .replace(/<a [\s\S]*?<\/a>|<[^>]+>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim()
  }
  const tells = (id: number, number: number, what: RegExp, chinese?: RegExp) =>
    until(
      `run ${number} of loop ${id} is told as ${what}`,
      async () => what.test(await life(id, number)) && (!chinese || chinese.test(await life(id, number, 'zh-CN'))),
      30_000,
      async () => `${await life(id, number)} ${await life(id, number, 'zh-CN')}`,
    )
  return { ...scene, scene, tells }
}

test('the table of lives: who or what ended each, and how', { timeout: 120_000 }, async t => {
  const { scene, tells } = await open(t)
  const { background, runtime } = scene
  let supervisor = await scene.supervise()
  const add = async (action: string, graceMs = 2_000) => (await background.addTask(action, {}, { execType: 'FOREVER', graceMs })).id
  const well = await add('fails/runs-well')
  const stubborn = await add('fails/ignores-stop', 600)
  const short = await add('fails/recycles')
  const runs = (id: number, number: number) =>
    until(`run ${number} of ${id} is up`, async () => {
      const task = await scene.task(id)
      return task.number === number && task.state === 'running'
    })

  await tells(short, 1, /^Recycled after 3 iterations: a fresh process follows\.$/, /^迭代 3 轮后回收/)

  await runs(well, 1)
  await wishFresh(background.db, well, 'kim', Date.now())
  ring(runtime)
  await tells(well, 1, /^Restarted by kim\.$/, /^被 kim 重启。$/)

  await runs(well, 2)
  const seen = await scene.task(well)
  const edit = {
    after: { ...termsOf(seen), graceMs: 3_000 },
    effect: 'restart',
    by: 'ben',
    via: 'form',
    revertOf: null,
    touched: [],
  } as const
  assert.equal((await editTask(background.db, seen, edit, Date.now())).done, 'edited')
  ring(runtime)
  await tells(well, 2, /^Restarted by ben\.$/, /^被 ben 重启。$/)

  await runs(well, 3)
  await runs(stubborn, 1)
  askReload(runtime, { epoch: supervisor.info.epoch, by: 'leo', at: Date.now() })
  await tells(well, 3, /^Replaced by fresh code \(reload by leo\)\.$/, /leo 要求重新加载/)
  await tells(
    stubborn,
    1,
    /^Replaced by fresh code \(reload by leo\)\. SIGKILL ended it (?:\d{3} ms|[\d.]+ s) after SIGTERM: it ignored the stop/,
  )
  const forced = (await scene.runs(stubborn)).find(run => run.number === 1)!.endFacts!.stop!
  assert.equal(forced.by, 'leo')
  assert.ok(forced.killedAfterMs! >= 600)

  await runs(well, 4)
  await supervisor.stop()
  supervisor = await scene.supervise()
  await tells(well, 4, /^Stopped with the supervisor\.$/, /^随监管进程一同停止。$/)

  // Nobody is there to see its end.
  await runs(well, 5)
  await supervisor.kill()
  const pid = scene.marked().find(({ mark }) => mark.includes(`/${well}-5/`))!.pid
  process.kill(pid, 'SIGKILL')
  await until('it is gone', () => scene.marked().every(process => process.pid !== pid))
  supervisor = await scene.supervise()
  await tells(well, 5, /^It ended while nobody watched and left no trace\.$/, /在无人监视时结束/)

  await runs(well, 6)
  await wishDown(background.db, well, 'anna', Date.now())
  ring(runtime)
  await tells(well, 6, /^Stopped by anna\.$/, /^被 anna 停止。$/)
  assert.equal((await scene.runs(well)).find(run => run.number === 6)!.endFacts!.stop!.killedAfterMs, null)

  const once = await background.addTask('fails/runs-well')
  await scene.untilState(once.id, 'running')
  await background.cancelTask(once.id, { by: 'anna' })
  await tells(once.id, 1, /^Cancelled by anna\.$/, /^被 anna 取消。$/)
  await supervisor.stop()
})
