import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changesOf, readRegion } from '../../app/web/live-region.ts'

const region = (iterations: string, more = '') =>
  readRegion(
    `<section id="head">${more}<dl><div><dt>a</dt><dd id="live-iterations" class="num">${iterations}</dd></div><dd>b</dd></dl></section>`,
  )

test('of a region only the figures are sent when only they have changed, and all of it when more has', () => {
  const before = region('1 <span>x</span>')
  assert.deepEqual(changesOf('head', undefined, before), [{ id: 'head', html: before.html }])
  assert.deepEqual(changesOf('head', before, region('1 <span>x</span>')), [])
  assert.deepEqual(changesOf('head', before, region('2')), [{ id: 'live-iterations', html: '<dd id="live-iterations" class="num">2</dd>' }])
  const more = region('2', '<p>more</p>')
  assert.deepEqual(changesOf('head', before, more), [{ id: 'head', html: more.html }])
  assert.deepEqual(changesOf('head', more, region('2', '')), [{ id: 'head', html: region('2').html }])
})

test('the passing of time is no change; another time is', () => {
  const at = (instant: string, shown: string) => `<time datetime="${instant}" title="x">${shown}</time>`
  const before = region(at('A', '1 second ago'), at('B', '1 second ago'))
  assert.deepEqual(changesOf('head', before, region(at('A', '2 seconds ago'), at('B', '2 seconds ago'))), [])
  assert.deepEqual(
    changesOf('head', before, region(at('C', 'now'), at('B', '2 seconds ago'))).map(({ id }) => id),
    ['live-iterations'],
  )
  assert.deepEqual(
    changesOf('head', before, region(at('A', 'now'), at('C', 'now'))).map(({ id }) => id),
    ['head'],
  )
})

test('a figure is an element of ours: text that looks like one is text', () => {
  const hostile = '&lt;dd id=&quot;live-iterations&quot;&gt;'
  const before = region('1', hostile)
  assert.deepEqual([...before.figures.keys()], ['live-iterations'])
  assert.match(before.frame, /&lt;dd id=/)
})
