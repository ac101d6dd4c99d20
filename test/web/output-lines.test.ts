import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { addSecret } from '../../app/runs/secrets-file.ts'
import { cancelTask } from '../../app/store/wishes.ts'
import { ansiToHtml } from '../../app/web/ansi.ts'
import { createTurns } from '../../app/web/turns.ts'
import { markMatches, visibleText } from '../../app/web/visible-text.ts'
import { hostileOutput } from '../helpers/hostile.ts'
import { openPanel } from '../helpers/open-panel.ts'

const textOf = (html: string) =>
  html
    .replace(/<[^>]*>/g, '')
    .replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => ({ amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" })[name]!)

test('what is searched is what the page shows, and marks add nothing to it but themselves', () => {
  fc.assert(
    fc.property(hostileOutput, fc.string({ maxLength: 4 }), (text, wanted) => {
      const line = text.replace(/[\r\n]/g, '')
      const html = ansiToHtml(line)
      assert.equal(visibleText(line), textOf(html))
      for (const needle of [wanted, visibleText(line).slice(2, 5), '<', '&', 'mark']) {
        const marked = markMatches(html, needle)
        assert.equal(marked.replace(/<\/?mark>/g, ''), html)
        assert.doesNotMatch(marked, /<(?!\/?mark>|\/?span\b)/)
        // Nothing lies across a tag, and what is marked is what was looked for.
        for (const [, inside] of marked.matchAll(/<mark>(.*?)<\/mark>/gs)) {
          assert.doesNotMatch(inside!, /</)
          assert.ok(needle.toLowerCase().includes(textOf(inside!).toLowerCase()) || inside!.length > needle.length)
        }
      }
    }),
    { numRuns: 3_000 },
  )
  assert.equal(
    markMatches(ansiToHtml('Con\x1b[31mnection\x1b[0m refused'), 'CONNECT'),
    '<mark>Con</mark><span class="ansi-f1"><mark>nect</mark>ion</span> refused',
  )
  assert.equal(markMatches(ansiToHtml('a<b>a'), 'a<'), '<mark>a&lt;</mark>b&gt;a')
})

test('so many work at a time, and one that fails gives its place on', async () => {
  const turns = createTurns(2)
  let working = 0
  let most = 0
  const work = (fails: boolean) => async () => {
    working++
    most = Math.max(most, working)
    await new Promise(resolve => setImmediate(resolve))
    working--
    if (fails) throw new Error('as it shall')
  }
  const ends = await Promise.allSettled(Array.from({ length: 9 }, (_, index) => turns(work(index % 3 === 0))))
  assert.deepEqual([most, working, ends.filter(({ status }) => status === 'rejected').length], [2, 0, 3])
})

test('output is searched by text and level, each line has an address, and the last error is a link away', async t => {
  const panel = await openPanel(t)
  const viewer = await panel.signIn('viewer')
  const { id } = await panel.background.addTask('test/ok', { password: 'secret-of-the-params' }, { delayMs: 3_600_000 })
  const withRun = (number: number, text: string) => {
    panel.sql('UPDATE bg_task SET number = ? WHERE id = ?', number, id)
    panel.sql(
      "INSERT INTO bg_run (task_id, number, host, epoch, started_at, ended_at, outcome) VALUES (?, ?, 'here', '', 1, 2, 'failed')",
      ...[id, number],
    )
    const paths = runtimePaths(panel.runtime).run(`${id}-${number}`)
    mkdirSync(paths.folder, { recursive: true })
    writeFileSync(paths.output, text)
    return paths
  }
  withRun(1, 'nothing bad here\n')
  const paths = withRun(
    2,
    [
      '2026-07-18T09:00:00.000Z INFO begun',
      '<script>alert(1)</script> & "quotes"',
      '2026-07-18T09:00:01.000Z ERROR Con\x1b[31mnection\x1b[0m refused',
      '    at poll (file.ts:5:3)',
      'WARN password secret-of-the-params and registered-secret',
      `${'x'.repeat(9_000)} needle ${'y'.repeat(9_000)}`,
      'last',
      '',
    ].join('\n'),
  )
  addSecret(paths.secrets, 'registered-secret')
  const get = async (query: string) => panel.ask({ url: `/admin/core/bgtask/${id}/lines?${query}`, as: viewer })
  const matches = (body: string) =>
    [...body.matchAll(/<span class="output-line[^>]*>.*?aria-label[^>]*>([\d,]+)<\/a><span>(.*?)<\/span><\/span>/gs)].map(found => [
      found[1],
      found[2],
    ])

  // The text of the search and the output stay text, also where colours change within a match.
  const colours = await get('q=CONNECTION+refused')
  assert.equal(colours.status, 200)
  assert.match(colours.body, /<mark>Con<\/mark><span class="ansi-f1"><mark>nection<\/mark><\/span><mark> refused<\/mark>/)
  const script = await get(`q=${encodeURIComponent('<script>alert(1)')}`)
  assert.equal(matches(script.body).length, 1)
  assert.match(script.body, /<mark>&lt;script&gt;alert\(1\)<\/mark>&lt;\/script&gt;/)
  assert.match(script.body, /name="q" value="&lt;script&gt;alert\(1\)"/)
  for (const { body } of [colours, script]) assert.doesNotMatch(body, /<script>/)
  // A regular expression of the reader is text like any other.
  assert.equal(matches((await get(`q=${encodeURIComponent('(x+x+)+y')}`)).body).length, 0)

  // No secret is found, nor shown, whatever is looked for and wherever one begins to read.
  for (const part of ['secret-of-the-params', 'registered-secret', 'of-the-par', 'tered-sec'])
    assert.equal(matches((await get(`q=${part}`)).body).length, 0, part)
  const warned = await get('level=warn')
  assert.deepEqual(
    matches(warned.body).map(([, text]) => text!.slice(0, 30)),
    ['WARN password [redacted] and [', '2026-07-18T09:00:01.000Z ERROR'],
  )
  for (let at = 0; at < 260; at += 7) {
    const { body } = await get(`at=${at}`)
    assert.doesNotMatch(body.replace(/name="_csrf" value="[^"]*"/g, ''), /of-the-params|secret-of|registered-sec|ered-secret/, `from ${at}`)
  }

  // A long line shows what was looked for in it.
  assert.match((await get('q=needle')).body, /x <mark>needle<\/mark> y/)

  // A line has an address, with what stands around it; the last error leads there.
  const last = await get('last=error')
  assert.equal(last.status, 303)
  assert.match(last.headers.location!, /\?run=2&at=\d+#line$/)
  const found = await panel.ask({ url: last.headers.location!.replace(/#.*/, ''), as: viewer })
  assert.match(found.body, /id="line" aria-current="true"[\s\S]*?ERROR Con/)
  assert.match(found.body, /INFO begun[\s\S]*at poll/)
  const none = await get('run=1&last=error')
  assert.equal(none.status, 200)
  assert.match(none.body, /No line in the output of this run looks like an error/)
  assert.match((await get('run=2&q=not-there')).body, /Nothing in the output of this run matches/)

  // What is no place, run or level is answered, too.
  for (const query of [
    'at=x',
    'at=99999999999999',
    'before=-1&q=a',
    'level=bogus',
    `q=${'z'.repeat(5_000)}`,
    'run=1&run=2',
    'q=%ED%A0%80',
    'last=bogus',
    'at=0&at=5',
  ])
    assert.equal((await get(query)).status, 200, query)
  assert.equal((await get('run=77')).status, 404)
})

test('what is about to begin has the tools for its output already, what was cancelled before has none', async t => {
  const panel = await openPanel(t)
  const viewer = await panel.signIn('viewer')
  const pageOf = async ({ id }: { id: number }) => (await panel.ask({ url: `/admin/core/bgtask/${id}`, as: viewer })).body
  const loop = await panel.background.addTask('test/ok', {}, 'FOREVER')
  assert.match(await pageOf(loop), /data-output-tools/)
  const later = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  assert.match(await pageOf(later), /data-output-tools/)
  await cancelTask(panel.background.db, later.id, 'test', Date.now())
  assert.doesNotMatch(await pageOf(later), /data-output-tools/)
  for (const query of ['last=error', 'q=x', '']) {
    const { status, headers } = await panel.ask({ url: `/admin/core/bgtask/${loop.id}/lines?${query}`, as: viewer })
    assert.deepEqual([status, headers.location], [303, `/admin/core/bgtask/${loop.id}#output`], query)
  }
})
