import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { askCron } from '../../app/api/ask-cron.ts'
import { makeToken } from '../../app/api/tokens.ts'
import { EXEC_TYPE_FOREVER } from '../../app/task/task.ts'
import { buildServer } from '../../app/web/server.ts'
import { freePort } from '../helpers/free-port.ts'
import { promtool, startPrometheus } from '../helpers/prometheus.ts'
import { makeScene, until } from '../helpers/scene.ts'
import { prometheusMissing } from '../helpers/tools.ts'

const root = join(import.meta.dirname, '..', '..')
const rules = join(root, 'scripts', 'prometheus', 'alerts.yml')
const dashboard = JSON.parse(readFileSync(join(root, 'scripts', 'grafana', 'bgtask.json'), 'utf8')) as {
  panels: { title: string; targets?: { expr: string }[] }[]
  templating: { list: { definition?: string }[] }
}
const skip = prometheusMissing()

test('promtool finds no fault with the alert rules, and they do what their tests say', { skip }, () => {
  const checked = promtool(['check', 'rules', rules])
  assert.equal(checked.code, 0, checked.said)
  const tested = promtool(['test', 'rules', join(root, 'scripts', 'prometheus', 'alerts-test.yml')])
  assert.equal(tested.code, 0, tested.said)
})

test('a real Prometheus: it scrapes the panel by a token, each expression of the dashboard finds data, and the rules fire', {
  skip,
  timeout: 240_000,
}, async t => {
  const modules = mkdtempSync(join(tmpdir(), 'bgtask-modules-'))
  t.after(() => rmSync(modules, { recursive: true, force: true }))
  mkdirSync(join(modules, 'modules'))
  writeFileSync(join(modules, 'modules', 'plain.ts'), 'export const cron = async () => undefined\n')
  const scene = await makeScene(t, { env: { PORT: String(await freePort()), BGTASK_MODULES: join(modules, 'modules') } })
  const { background, config } = scene
  const app = await buildServer(config, { background })
  t.after(() => app.close())
  await app.listen({ host: '127.0.0.1', port: config.port })
  const target = `127.0.0.1:${config.port}`
  const { text: token } = await makeToken(
    background.db,
    { name: 'the test', ip: null, via: 'command-line' },
    { name: 'prometheus', scopes: ['metrics:read'] },
  )
  const prometheus = await startPrometheus(t, { target, token, rules })
  await until('actions are told of which nothing ended yet', async () => (await prometheus.query('bgtask_runs_total')).length > 0)

  await scene.supervise()
  const forever = async (action: string, params = {}) => (await background.addTask(action, params, EXEC_TYPE_FOREVER)).id
  const loop = await forever('test/throws-now-and-then', { onError: 'continue' })
  const misconfigured = await forever('test/exits-78')
  await forever('test/crashes-at-once')
  for (const action of ['test/ok', 'test/ok', 'test/fails', 'test/exits-3'])
    await background.addTask(action, {}, { rerunAfterCrash: false })
  await background.addTask('test/resident/one', { do: 'wait for the signal' })
  await scene.untilState((await askCron(background, { creator: 'the test' })).task.id, 'succeeded', 60_000)
  await scene.untilState(loop, 'running')
  await scene.untilState(misconfigured, 'tripped')

  const scraped = await fetch(`http://${target}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  const linted = promtool(['check', 'metrics'], await scraped.text())
  assert.deepEqual([linted.code, linted.said], [0, ''])

  // What is shown while something is wrong alone is asked for with whatever value it has.
  const questions = dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ title, expr: expr.replaceAll('$instance', '.+').replaceAll('$action', '.+') })),
  )
  assert.ok(questions.length >= 40)
  for (const { title, expr } of questions) {
    assert.doesNotMatch(expr, /\$/, `a variable that is not known: ${expr}`)
    await prometheus.query(expr)
    const always = expr.replace(/ > 0$/, '')
    await until(
      `${title} has data: ${always}`,
      async () => (await prometheus.query(always)).some(({ value }) => Number.isFinite(Number(value[1]))),
      60_000,
      async () => JSON.stringify(await prometheus.query(always)),
    )
  }
  for (const definition of dashboard.templating.list.flatMap(({ definition }) => definition ?? [])) {
    const [, name, label] = /^label_values\((\w+), (\w+)\)$/.exec(definition)!
    assert.ok((await prometheus.api<string[]>(`label/${label}/values?${new URLSearchParams({ 'match[]': name! })}`)).length > 0, definition)
  }
  const failed = await until('a rise from 0 is seen', async () => {
    const [found] = await prometheus.query('increase(bgtask_runs_total{action="test/fails",outcome="failed"}[5m])')
    return found && Number(found.value[1]) > 0 && found
  })
  assert.equal(failed.metric.job, 'bgtask')

  interface Rule {
    name: string
    health: string
    state: string
    lastError?: string
  }
  const ruled = async () => (await prometheus.api<{ groups: { rules: Rule[] }[] }>('rules')).groups.flatMap(group => group.rules)
  const fired = await until('the rules see what is wrong', async () => {
    const all = await ruled()
    const wrong = all.filter(({ state }) => state !== 'inactive').map(({ name }) => name)
    return ['BgtaskLoopTripped', 'BgtaskActionFails'].every(name => wrong.includes(name)) && all
  })
  for (const { name, health, lastError } of fired) assert.equal(health, 'ok', `${name}: ${lastError}`)
  for (const name of ['BgtaskSilent', 'BgtaskDatabaseAway', 'BgtaskSupervisorDown', 'BgtaskLoopStalled', 'BgtaskQueueStands'])
    assert.equal(fired.find(rule => rule.name === name)?.state, 'inactive', name)
})
