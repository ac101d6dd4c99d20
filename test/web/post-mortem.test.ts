import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { reloadLoop } from '../../app/api/reload-loop.ts'
import { ring } from '../../app/runs/doorbell.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { appendAudit } from '../../app/store/audit.ts'
import { insertSamples } from '../../app/store/samples.ts'
import { wishFresh } from '../../app/store/wishes.ts'
import { emptySample, spanAt } from '../../app/task/sample.ts'
import { drawLife } from '../../app/web/life-charts.ts'
import { earlyInMinute } from '../helpers/early-in-minute.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { makeScene, until } from '../helpers/scene.ts'

const password = 'correct-horse-battery'
/** What it is changed to. */
const other = 'staple-of-the-stable'

const good = `import { execForeverInterval } from 'bgtask'
export const execute = () => execForeverInterval(() => {}, 50)\n`
/** Prints more lines than are shown, a secret, and what would end the part of a file that holds output. */
const bad = `export const execute = ({ params }) => {
  for (let n = 1; n <= 250; n++) console.log('line ' + n)
  console.log('the password is ' + params.password)
  console.log('\`\`\`\\n# A heading of its own <b>bold</b>')
  throw new Error('broken with ' + params.password)
}\n`

/** A panel, a supervisor and a folder of actions that lies in a checkout of git. */
const open = async (t: TestContext) => {
  const checkout = mkdtempSync(join(tmpdir(), 'bgtask-checkout-'))
  t.after(() => rmSync(checkout, { recursive: true, force: true }))
  const git = (...given: string[]) =>
    execFileSync(
      'git',
      ['-C', checkout, '-c', 'user.name=kim', '-c', 'user.email=kim@example.org', '-c', 'commit.gpgsign=false', ...given],
      { encoding: 'utf8' },
    )
  git('init', '-q')
  mkdirSync(join(checkout, 'shop'))
  const deploy = (text: string) => {
    writeFileSync(join(checkout, 'shop', 'poll.ts'), text)
    git('add', '.')
    git('commit', '-qm', 'deploy')
    return git('rev-parse', 'HEAD').trim()
  }
  const first = deploy(good)
  const scene = await makeScene(t, { env: { BGTASK_ACTIONS: checkout } })
  const panel = await openPanel(t, { env: { BGTASK_RUNTIME: scene.runtime, BGTASK_ACTIONS: checkout } })
  const viewer = await panel.signIn('viewer')
  const supervisor = await scene.supervise()
  const ask = (url: string, language = 'en') =>
    panel.ask({ url: `/admin/core/bgtask/${url}`, as: viewer, headers: { 'accept-language': language } })
  return { scene, supervisor, deploy, first, ask }
}

const textOf = (html: string) =>
  (/<main[\s\S]*<\/main>/.exec(html)?.[0] ?? '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))
    .replaceAll('&quot;', '"')
    .replace(/\s+/g, ' ')

test('a loop that fails after a deploy: what changed, its last lines, its curve, and who did what; as a page and as a file', {
  timeout: 90_000,
}, async t => {
  const { scene, supervisor, deploy, first, ask } = await open(t)
  const { db } = scene.background
  const { id } = await scene.background.addTask('shop/poll', { mode: 'slow', password }, { execType: 'FOREVER' })
  await until('it has done something', async () => {
    const task = await scene.task(id)
    return task.state === 'running' && task.number === 1
  })
  // The figures of the minute in which it ends are put there before the supervisor writes its own.
  await earlyInMinute(15_000)
  const second = deploy(bad)
  await db.kysely
    .updateTable('bg_task')
    .set({ params: JSON.stringify({ mode: 'fast', password: other }) })
    .where('id', '=', id)
    .execute()
  await appendAudit(db, {
    at: Date.now(),
    userName: 'kim',
    ip: '10.1.2.3',
    via: 'form',
    act: 'task-restart',
    subject: String(id),
    detail: null,
  })
  await appendAudit(db, { at: Date.now(), userName: 'kim', ip: '10.1.2.3', via: 'form', act: 'login', subject: null, detail: null })
  await wishFresh(db, id, 'kim', Date.now())
  ring(scene.runtime)
  const run = await until(
    'run 2 has failed',
    async () => (await scene.runs(id)).find(({ number, outcome }) => number === 2 && outcome === 'failed'),
    30_000,
  )
  assert.match((await ask(`${id}/runs/2`)).body, /It lived for less than a minute/)
  await db.kysely
    .updateTable('bg_run')
    .set({ started_at: run.endedAt! - 90_000 })
    .where('task_id', '=', id)
    .where('number', '=', 2)
    .execute()
  const minute = spanAt(run.endedAt!, 60_000)
  await insertSamples(db, [{ ...emptySample(id, minute, 60_000), memoryBytes: 61e6, cpuMs: 1_200, iterations: 7 }])

  const { status, body } = await ask(`${id}/runs/2`)
  assert.equal(status, 200)
  const said = textOf(body)
  for (const expected of [
    'It failed: broken with [redacted]',
    'Exit code 1: it failed.',
    `Held against run 1 of #${id}, the last good one before it`,
    `${first} ${second}`,
    'Params mode "slow" "fast"',
    'kim restarted task',
    'line 250',
    'the password is [redacted]',
  ])
    assert.ok(said.includes(expected), `${expected} is not in: ${said}`)
  assert.match(said, /Code \S+poll\.ts \(([0-9a-f]{12})\) \S+poll\.ts \((?!\1)[0-9a-f]{12}\)/)
  assert.match(body, /<path class="chart-line" d="M[^"]+"\/>/)
  assert.ok(!said.includes('line 50 '), 'only the last 200 lines are there')
  assert.doesNotMatch(said, /Params password/)
  for (const hidden of [password, other, '10.1.2.3', 'signed in', '<b>bold</b>']) assert.ok(!body.includes(hidden), hidden)

  const chinese = textOf((await ask(`${id}/runs/2`, 'zh-CN')).body)
  for (const expected of ['自上次正常运行以来的变化', '退出码 1：失败。', '直到结束的内存与 CPU'])
    assert.ok(chinese.includes(expected), expected)

  const file = await ask(`${id}/runs/2/report`)
  assert.equal(file.headers['content-type'], 'text/markdown; charset=utf-8')
  assert.equal(file.headers['content-disposition'], `attachment; filename="task-${id}-run-2.md"`)
  for (const expected of [
    `# Run 2 of shop/poll #${id}`,
    'Params mode: "slow" → "fast"',
    `Commit: ${first} → ${second}`,
    'line 250',
    '| 61 MB | 2 % | 7 |',
  ])
    assert.ok(file.body.includes(expected), `${expected} is not in: ${file.body}`)
  assert.ok(!file.body.includes(password) && !file.body.includes(other))
  // What was printed stands in a fence that nothing in it can end.
  const headings = file.body.replace(/^(`{3,})\n[\s\S]*?\n\1$/gm, '').match(/^#+ .*$/gm)!
  assert.ok(headings.length >= 6)
  assert.ok(!headings.some(heading => heading.includes('of its own')))

  for (const page of [await ask(String(id)), await ask(`${id}?run=2`)])
    assert.ok(page.body.includes(`/admin/core/bgtask/${id}/runs/2"`), 'the page of the loop leads there, from its sentence and its table')

  // What it printed stays hidden when the task has another secret by now.
  await db.kysely
    .updateTable('bg_task')
    .set({ params: JSON.stringify({ mode: 'fast', password }) })
    .where('id', '=', id)
    .execute()
  for (const url of [`${id}/runs/2`, `${id}/runs/2/report`]) assert.ok(!(await ask(url)).body.includes(other), url)

  // Its folder is gone, what its row knows is not.
  rmSync(runtimePaths(scene.runtime).run(`${id}-2`).folder, { recursive: true })
  rmSync(runtimePaths(scene.runtime).run(`${id}-1`).folder, { recursive: true })
  const pruned = textOf((await ask(`${id}/runs/2`)).body)
  assert.ok(pruned.includes('Its output was pruned'))
  assert.ok(pruned.includes('Params mode "slow" "fast"') && pruned.includes(`${first} ${second}`))
  assert.ok((await ask(`${id}/runs/2/report`)).body.includes('Its output was pruned'))

  for (const gone of [`${id}/runs/99`, '99/runs/1', `${id}/runs/x`, `${id}/runs/99/report`])
    assert.equal((await ask(gone)).status, 404, gone)
  assert.equal(await supervisor.stop(), 0)
})

test('a ONCE task is held against the last one of its action that succeeded', { timeout: 60_000 }, async t => {
  const { scene, supervisor, deploy, ask } = await open(t)
  deploy(`export const execute = ({ params }) => { if (params.rows > 10) throw new Error('too many rows') }\n`)
  const well = await scene.background.addTask('shop/poll', { rows: 3 })
  await scene.untilState(well.id, 'succeeded', 30_000)
  const { id } = await scene.background.addTask('shop/poll', { rows: 30 })
  await scene.untilState(id, 'failed', 30_000)
  const said = textOf((await ask(`${id}/runs/1`)).body)
  for (const expected of ['too many rows', `Held against run 1 of #${well.id}`, 'Params rows 3 30', 'followed for loops only'])
    assert.ok(said.includes(expected), `${expected} is not in: ${said}`)
  assert.ok(textOf((await ask(`${well.id}/runs/1`)).body).includes('No good run of it is known'))
  await supervisor.stop()
})

test('a run of a resident runner is held against the last good one too, of which neither folder nor output tells', {
  timeout: 90_000,
}, async t => {
  const { scene, supervisor, deploy, first, ask } = await open(t)
  const { background, runtime } = scene
  const resident = (work: string) => `export default { isolation: 'resident', execute({ params }) { ${work} } }\n`
  const before = deploy(resident('return'))
  assert.notEqual(before, first)
  const well = await background.addTask('shop/poll', { rows: 3 })
  await scene.untilState(well.id, 'succeeded', 30_000)
  const [good] = await scene.runs(well.id)
  assert.equal(good!.residentTask, 1)
  assert.ok(!existsSync(runtimePaths(runtime).run(`${well.id}-1`).folder), 'it said nothing')

  const after = deploy(resident("throw new Error('the shop is closed')"))
  await reloadLoop(scene.config, { by: 'kim' })
  await until('the process with the old code has gone', () => scene.marked().every(({ pid }) => pid !== good!.pid))
  const { id } = await background.addTask('shop/poll', { rows: 30 }, { timeoutMs: 7_000 })
  await scene.untilState(id, 'failed', 30_000)
  const [bad] = await scene.runs(id)
  assert.equal(bad!.residentTask, 1)
  assert.notEqual(bad!.pid, good!.pid)
  const tells = async () => {
    const said = textOf((await ask(`${id}/runs/1`)).body)
    for (const expected of ['the shop is closed', `Held against run 1 of #${well.id}`, `${before} ${after}`, 'Params rows 3 30'])
      assert.ok(said.includes(expected), `${expected} is not in: ${said}`)
    assert.match(said, /Code \S+poll\.ts \(([0-9a-f]{12})\) \S+poll\.ts \((?!\1)[0-9a-f]{12}\)/)
    assert.match(said, /Time limit \(ms\) – 7000/)
  }
  await tells()
  assert.equal(await supervisor.stop(), 0)
  // Nothing of it has to be on the disk any more.
  for (const folder of [runtimePaths(runtime).run(`${id}-1`).folder, runtimePaths(runtime).residents]) rmSync(folder, { recursive: true })
  await tells()
})

test('the curve of a life: its minutes in their places, and gaps where nothing is known', () => {
  const from = 600_000
  const sample = (at: number, memoryBytes: number | null, cpuMs: number) => ({ ...emptySample(1, at, 60_000), memoryBytes, cpuMs })
  const { slots, charts, figures } = drawLife([sample(from, 10e6, 6_000), sample(from + 120_000, 40e6, 30_000)], {
    spanMs: 60_000,
    from,
    to: from + 180_000,
  })
  assert.equal(slots, 3)
  assert.deepEqual(
    charts.map(({ key, newest, most, path }) => [key, newest, most, path]),
    [
      ['memory', 40e6, 50e6, 'M0.1 80h0.8M2.1 20h0.8'],
      ['cpu', 50, 50, 'M0.1 80h0.8M2.1 0h0.8'],
    ],
  )
  assert.deepEqual(
    figures.map(({ at, cpuPercent }) => [at, cpuPercent]),
    [
      [from, 10],
      [from + 120_000, 50],
    ],
  )
})
