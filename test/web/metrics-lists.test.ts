import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { metrics, requestTimes } from '../../app/web/metrics/list.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { parseMetrics } from '../helpers/parse-metrics.ts'
import { until } from '../helpers/scene.ts'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const all = [...metrics, requestTimes]

test('names are by the conventions: a unit at the end, and _total for counters alone', () => {
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length)
  for (const { name, help, type } of metrics) {
    assert.match(name, /^bgtask_[a-z]+(?:_[a-z]+)*$/)
    assert.equal(name.endsWith('_total'), type === 'counter', name)
    assert.doesNotMatch(name, /_(?:ms|milliseconds|kb|mb|minutes|percent)(?:_|$)/, 'base units')
    assert.match(help, /^[A-Z].*\.$/, name)
    assert.doesNotMatch(help, /\|/, 'it stands in a table')
  }
})

test('the list of the README is the list', () => {
  const section = read('README.md')
    .split(/^### /m)
    .find(text => text.startsWith('Metrics\n'))!
  const rows = [...section.matchAll(/^\| `(bgtask_\w+)` \| (.*) \|$/gm)].map(([, name, help]) => [name, help])
  assert.deepEqual(
    rows,
    all.map(({ name, help }) => [name, help]),
  )
})

interface Panel {
  id: number
  type: string
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { expr: string }[]
}
const dashboard = JSON.parse(read('scripts/grafana/bgtask.json')) as { panels: Panel[]; templating: { list: { definition?: string }[] } }
const rules = read('scripts/prometheus/alerts.yml')
const ruleQueries = [...rules.matchAll(/^ +expr: (.*)$/gm)].map(([, query]) => query!)
const dashboardQueries = [
  ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...dashboard.templating.list.flatMap(({ definition }) => definition ?? []),
]

test('the dashboard and the alert rules ask for what is told, with labels that it has', async t => {
  const panel = await openPanel(t, { env: { BGTASK_METRICS: 'open' } })
  // Of Node and of the process there is no list of ours.
  await panel.ask({ url: '/metrics' })
  const told = await until('requests are told too', async () => {
    const now = parseMetrics((await panel.ask({ url: '/metrics' })).body)
    return (now.get(requestTimes.name)?.samples.length ?? 0) > 0 && now
  })
  assert.ok(ruleQueries.length >= 10 && dashboardQueries.length >= 30)
  const known = new Set([
    ...all.map(({ name }) => name as string),
    ...[...told.values()].flatMap(({ samples }) => samples.map(({ name }) => name)),
  ])
  for (const query of [...ruleQueries, ...dashboardQueries]) {
    const names = [...query.matchAll(/\b(?:bgtask|process|nodejs)_\w+/g)].map(([name]) => name)
    assert.ok(names.length > 0, query)
    for (const name of names) assert.ok(known.has(name), `${name} is not told: ${query}`)
    for (const [, name, labels] of query.matchAll(/\b(bgtask_\w+)\{([^}]*)\}/g)) {
      const samples = told.get(name!)?.samples ?? []
      for (const [, label] of labels!.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)) {
        if (label === 'instance' || samples.length === 0) continue
        assert.ok(label! in samples[0]!.labels, `${name} has no label ${label}: ${query}`)
      }
    }
  }
})

test('on the dashboard nothing lies on top of something else', () => {
  const places = new Map<string, string>()
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  for (const { title, gridPos } of dashboard.panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, title)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.equal(places.get(`${x} ${y}`), undefined, `${title} lies on ${places.get(`${x} ${y}`)}`)
        places.set(`${x} ${y}`, title)
      }
    }
  }
})

test('there is a rule for each state of alarm: tripped, no supervisor, tasks that wait, no database', () => {
  for (const part of ['state="tripped"', 'bgtask_supervisor_up == 0', 'bgtask_oldest_due_task_age_seconds) >', 'bgtask_database_up == 0'])
    assert.ok(
      ruleQueries.some(query => query.includes(part)),
      part,
    )
})
