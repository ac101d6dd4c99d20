import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let operator: SignedIn

before(async () => {
  panel = await listenPanel()
  operator = await panel.signIn('operator')
})
after(() => panel.close())

const mainOf = (html: string) => html.slice(html.indexOf('<main'), html.indexOf('</main>'))
const tasks = () => panel.sql('SELECT id, run_at, due FROM bg_task ORDER BY id')

test('a time that is chosen and not given, or is none, is asked for again, with all that was filled in', async () => {
  const add = (fields: Record<string, string>) =>
    panel.ask({
      method: 'POST',
      url: '/admin/core/bgtask',
      as: operator,
      body: { action: 'test/ok', exec_type: 'ONCE', type: 'kept so', ...fields },
    })
  for (const [fields, problem] of [
    [{ when: 'at' }, /Under When you chose At, but gave no date and time/],
    [{ when: 'at', at: '', at_instant: '' }, /gave no date and time/],
    [{ when: 'at', at: 'tomorrow' }, /“tomorrow” is no date and time\. Give them like 2026-11-21T08:00\./],
    [{ when: 'at', at: '2026-13-45T99:00' }, /is no date and time/],
    [{ when: 'at', at: '2026-02-30T10:00' }, /“2026-02-30T10:00” is no date and time/],
    [{ when: 'at', at: '0026-11-21T10:00' }, /“0026-11-21T10:00” is no date and time/],
    [{ when: 'at', at: '<script>' }, /“&lt;script&gt;” is no date/],
    [{ when: 'in', delay: '' }, /Under When you chose In, but not how long/],
    [{ when: 'in', delay: 'soon' }, /How long from now is &quot;soon&quot;; allowed are numbers from 0 to 5256000\./],
    [{ when: 'in', delay: '-5' }, /How long from now is &quot;-5&quot;; allowed/],
    [{ priority: '9999' }, /Priority is &quot;9999&quot;; allowed are whole numbers from -1000 to 1000\./],
    [{ max_attempts: '2.5' }, /Tries is &quot;2\.5&quot;; allowed are whole numbers from 1 to 1000\./],
    [{ timeout_s: '0' }, /Time limit in seconds is &quot;0&quot;; allowed are numbers from 0\.001 to 2073600\./],
  ] as [Record<string, string>, RegExp][]) {
    const { status, body } = await add(fields)
    assert.equal(status, 422, JSON.stringify(fields))
    assert.match(mainOf(body), problem)
    assert.match(mainOf(body), /value="kept so"/)
    assert.match(mainOf(body), new RegExp(`name="when" value="${fields.when ?? 'now'}" checked`))
  }
  assert.deepEqual(tasks(), [])
  assert.equal((await add({ when: 'at', at: '2999-01-01T08:00' })).status, 303)
  assert.equal((await add({ when: 'at', at: '2999-01-01T08:00', at_instant: '2999-01-01T07:00:00.000Z' })).status, 303)
  assert.equal((await add({ when: 'in', delay: '2', delay_unit: 'hours' })).status, 303)
  assert.deepEqual(
    tasks().map(({ due }) => due),
    ['later', 'later', 'later'],
  )
  assert.deepEqual(
    tasks()
      .slice(0, 2)
      .map(({ run_at }) => run_at),
    [Date.UTC(2999, 0, 1, 8), Date.UTC(2999, 0, 1, 7)],
  )
  // A loop starts at once whatever is chosen there, so nothing there can be wrong.
  assert.equal((await add({ exec_type: 'FOREVER', when: 'at', at: '' })).status, 303)
})

test('the button that clones says when it starts at once', async () => {
  const loop = await panel.background.addTask('test/ok', {}, 'FOREVER')
  const once = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  const label = async (id: number) =>
    /\/clone">(?:<svg.*?<\/svg>)?([^<]+)</.exec(mainOf((await panel.ask({ url: `/admin/core/bgtask/${id}`, as: operator })).body))?.[1]
  assert.deepEqual([await label(loop.id), await label(once.id)], ['Clone and start', 'Clone'])
})

test('a list of tasks in a state that there is not says so, and shows none', async () => {
  const list = async (query: string) => {
    const { status, body } = await panel.ask({ url: `/admin/core/bgtask?${query}`, as: operator })
    return { status, text: mainOf(body), rows: body.split('cell-task').length - 1 }
  }
  assert.ok((await list('')).rows > 3)
  for (const query of ['state=bogus', 'exec_type=SOMETIMES', 'state=constructor', 'state=waiting&exec_type=x', 'state=WAITING']) {
    const { status, text, rows } = await list(query)
    assert.deepEqual([status, rows], [422, 0], query)
    assert.match(text, /There is no state or kind “/)
    assert.match(text, /Clear filters/)
  }
  assert.match((await list('state=%3Cb%3E')).text, /“&lt;b&gt;”/)
  assert.equal((await list('state=waiting&exec_type=ONCE')).status, 200)
  assert.equal((await list('state=tripped')).status, 200)
})
