import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { metrics, requestTimes } from '../../app/web/metrics/list.ts'

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
