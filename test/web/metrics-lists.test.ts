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
  for (const { name, help, type, labels = [] } of metrics) {
    for (const label of labels) assert.match(label, /^[a-z]+(?:_[a-z]+)*$/, name)
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
  targets?: { expr: string; legendFormat?: string }[]
}
interface Variable {
  /** Shown; what is asked stands in `query`. */
  definition?: string
  query: string | { query: string }
}
const dashboard = JSON.parse(read('scripts/grafana/bgtask.json')) as { panels: Panel[]; templating: { list: Variable[] } }
const rules = read('scripts/prometheus/alerts.yml')
  .split('- alert: ')
  .slice(1)
  .map(text => ({ name: text.split('\n')[0]!, query: /^ +expr: (.*)$/m.exec(text)![1]!, text }))
const variables = dashboard.templating.list.flatMap(({ definition, query }) =>
  typeof query === 'string' ? [] : [definition ?? '', query.query],
)

/** What is asked for, and the names of labels that are made text of for each answer. */
const asked = [
  ...rules.map(({ query, text }) => ({ query, shown: [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!) })),
  ...dashboard.panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr, legendFormat = '' }) => ({
      query: expr,
      shown: [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!),
    })),
  ),
]

/** Prometheus adds these to whatever it scrapes. */
const everywhere = ['instance', 'job']

test('the dashboard and the alert rules ask for what is told, with labels that it has', async t => {
  const panel = await openPanel(t, { env: { BGTASK_METRICS: 'open' } })
  // Of Node and of the process there is no list of ours.
  await panel.ask({ url: '/metrics' })
  const told = await until('requests are told too', async () => {
    const now = parseMetrics((await panel.ask({ url: '/metrics' })).body)
    return (now.get(requestTimes.name)?.samples.length ?? 0) > 0 && now
  })
  const labels = new Map<string, Set<string>>()
  for (const { samples } of told.values())
    for (const sample of samples) labels.set(sample.name, new Set([...(labels.get(sample.name) ?? []), ...Object.keys(sample.labels)]))
  for (const { name, labels: declared = [] } of metrics) labels.set(name, new Set(declared))
  const has = (name: string, label: string) => everywhere.includes(label) || labels.get(name)!.has(label)

  assert.ok(rules.length >= 15 && asked.length >= 55)
  for (const { query, shown } of asked) {
    const names = [...query.matchAll(/\b(?:bgtask|process|nodejs)_\w+/g)].map(([name]) => name)
    assert.ok(names.length > 0, query)
    for (const name of names) assert.ok(labels.has(name), `${name} is not told: ${query}`)
    for (const [, name, matchers] of query.matchAll(/\b(\w+)\{([^}]*)\}/g))
      for (const [, label] of matchers!.matchAll(/(\w+)(?:=~|!~|!=|=)"/g))
        assert.ok(has(name!, label!), `${name} has no label ${label}: ${query}`)
    const groupings = [...query.matchAll(/\b(by|on|without|ignoring) \(([^)]*)\)/g)].map(([, word, list]) => ({
      word,
      list: list!.split(/, */),
    }))
    for (const label of groupings.flatMap(({ list }) => list))
      assert.ok(
        names.some(name => has(name, label)),
        `nothing has the label ${label}: ${query}`,
      )
    // What stands first is done last, and leaves the labels that it names.
    const left = groupings.find(({ word }) => word === 'by')?.list ?? (/\b(?:sum|min|max|count|absent)\(/.test(query) ? [] : null)
    for (const label of shown)
      assert.ok(left ? left.includes(label) : names.every(name => has(name, label)), `its answer has no label ${label}: ${query}`)
  }
  assert.ok(variables.length >= 4)
  for (const variable of variables) {
    const [, name, label] = /^label_values\((\w+), (\w+)\)$/.exec(variable) ?? []
    assert.ok(name && label && labels.has(name) && has(name, label), variable)
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

test('there is a rule for each state of alarm', () => {
  for (const part of [
    'absent(bgtask_build_info)',
    'bgtask_database_up == 0',
    'bgtask_supervisor_up == 0',
    'bgtask_loop_state{state="tripped"}',
    'bgtask_loop_last_success_timestamp_seconds',
    'bgtask_runs_total{outcome!~',
    'bgtask_oldest_due_task_age_seconds) >',
    'bgtask_tasks_ended_total[10m]',
    'bgtask_disk_free_bytes',
  ])
    assert.ok(
      rules.some(({ query }) => query.includes(part)),
      part,
    )
  for (const { name, text } of rules) assert.match(text, /^ +summary: \S/m, name)
})
