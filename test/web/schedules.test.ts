import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { commandScene } from '../commands/scene.ts'
import { password } from '../helpers/browser.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { ageProof } from '../helpers/open-panel.ts'

const commands = commandScene()
let panel: ListeningPanel
let operator: SignedIn
let viewer: SignedIn

before(async () => {
  commands.write({ open: { executable: commands.witness }, closed: { executable: commands.witness, role: 'admin' } })
  panel = await listenPanel({ env: { BGTASK_COMMANDS: commands.file } })
  operator = await panel.signIn('operator')
  viewer = await panel.signIn('viewer')
})
after(async () => {
  await panel.close()
  commands.remove()
})

const page = '/admin/config/schedules'
const mainOf = (html: string) => html.slice(html.indexOf('<main'), html.indexOf('</main>'))
const textOf = (html: string) =>
  mainOf(html)
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
const form = {
  action: 'test/ok',
  params: '{}',
  when: 'cron',
  cron: '30 2 * * *',
  time_zone: 'Europe/Berlin',
  missed: 'once',
  overlap: 'allow',
}
const post = (url: string, fields: Record<string, string> = {}, as = operator) => panel.ask({ method: 'POST', url, as, body: fields })
const rows = () =>
  panel.sql('SELECT id, name, cron, time_zone, every_ms, wanted, revision, params, made_by, edited_by FROM bg_schedule ORDER BY id')
const acts = () =>
  panel.sql("SELECT act, subject FROM bg_audit WHERE act LIKE 'schedule-%' ORDER BY id").map(({ act, subject }) => `${act} ${subject}`)

test('the first page says how to make one; a preview stores nothing and tells the next times with their distance from UTC', async () => {
  const empty = await panel.ask({ url: page, as: viewer })
  assert.match(textOf(empty.body), /There is no schedule yet.*addSchedule\(/)
  // A viewer only looks.
  assert.doesNotMatch(mainOf(empty.body), /schedules\/new/)
  const shown = await post(`${page}/preview`, { ...form, name: 'kept so' })
  assert.equal(shown.status, 200)
  assert.match(textOf(shown.body), /At 02:30 (\w{3}, \d{4}-\d\d-\d\d 02:30 \+0[12]:00 in \d+ (hours?|days?|minutes?|seconds?) ){4}/)
  assert.match(textOf(shown.body), /The clock of this zone is set at Sun, \d{4}-(03|10)-\d\d 0[23]:00/)
  assert.match(mainOf(shown.body), /value="kept so"/)
  assert.deepEqual(rows(), [])
  const chinese = await panel.ask({
    method: 'POST',
    url: `${page}/preview`,
    as: operator,
    body: { ...form, cron: '0 9 * * 1#1' },
    headers: { 'accept-language': 'zh-CN' },
  })
  assert.equal(chinese.status, 200)
  assert.match(textOf(chinese.body), /在 09:00，限每月的第一个星期一/)
})

test('the menu marks the entry that a page belongs to, also below it', async () => {
  const marked = async (url: string) => {
    const { body } = await panel.ask({ url, as: operator })
    return [...body.matchAll(/<a href="([^"]*)" aria-current="(page|true)"/g)].map(([, href, kind]) => `${href} ${kind}`)
  }
  assert.deepEqual(await marked('/admin'), ['/admin page'])
  assert.deepEqual(await marked(page), [`${page} page`])
  assert.deepEqual(await marked(`${page}/new?action=test/ok`), [`${page} true`])
  assert.deepEqual(await marked('/admin/core/bgtask/failed'), ['/admin/core/bgtask true'])
  // Of two entries whose addresses it begins with, the longer.
  assert.deepEqual(await marked('/admin/core/bgtask/debug'), ['/admin/core/bgtask/debug page'])
})

test('what is wrong in the form is said above it, with all that was given', async () => {
  for (const [fields, problem] of [
    [{ name: 'x', cron: '61 * * * *' }, /has "61" as its minute/],
    [{ name: 'x', cron: '' }, /cron text is empty/],
    [{ name: 'x', cron: '<script>alert(1)</script>' }, /"<script>alert\(1\)<\/script>" has 1 field/],
    [{ name: 'x', time_zone: 'Berlin' }, /did you mean Europe\/Berlin/],
    [{ name: 'x', cron: '0 0 31 2 *' }, /never comes/],
    [{ name: '', cron: '30 2 * * *' }, /name of the schedule is ""/],
    [{ name: 'x', when: 'every', every: '' }, /Under When you chose Every/],
    [{ name: 'x', when: 'every', every: '0.5', every_unit: 'seconds' }, /Two times of a schedule are from 1 second to 366 days apart/],
    [{ name: 'x', when: 'every', every: '400', every_unit: 'days' }, /Two times of a schedule are from 1 second to 366 days apart/],
    [{ name: 'x', missed: 'sometimes' }, /missed is "sometimes"/],
    [{ name: 'x', params: '{' }, /is no JSON/],
  ] as [Record<string, string>, RegExp][]) {
    const { status, body } = await post(page, { ...form, type: 'kept so', ...fields })
    assert.equal(status, 422, JSON.stringify(fields))
    const said = mainOf(body)
      .replaceAll('&quot;', '"')
      .replaceAll('&#34;', '"')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&#60;', '<')
      .replaceAll('&#62;', '>')
    assert.match(said, problem)
    assert.match(mainOf(body), /value="kept so"/)
    assert.doesNotMatch(body, /<script>alert/)
  }
  assert.deepEqual(rows(), [])
  assert.deepEqual(acts(), [])
})

test('made, shown, changed, paused, run, resumed, removed: each act in the audit', async () => {
  assert.equal((await post(page, { ...form, name: 'nightly' })).status, 303)
  const [{ id }] = rows() as [{ id: number }]
  const list = textOf((await panel.ask({ url: page, as: viewer })).body)
  assert.match(list, /nightly test\/ok At 02:30 30 2 \* \* \* Europe\/Berlin .*none yet .*run once/)
  assert.doesNotMatch(list, /Remove/)
  assert.equal((await post(page, { ...form, name: 'nightly' })).status, 422)

  const edit = await panel.ask({ url: `${page}/${id}`, as: operator })
  assert.match(mainOf(edit.body), /value="30 2 \* \* \*"/)
  assert.equal((await post(`${page}/${id}`, { ...form, revision: '0', when: 'every', every: '15', every_unit: 'minutes' })).status, 303)
  assert.deepEqual(
    rows().map(({ cron, every_ms, edited_by }) => [cron, every_ms, edited_by]),
    [[null, 900_000, 'operator']],
  )
  // Drawn before somebody else changed it.
  const late = await post(`${page}/${id}`, { ...form, revision: '0' })
  assert.equal(late.status, 422)
  assert.match(textOf(late.body), /changed by somebody else meanwhile/)

  assert.equal((await post(`${page}/${id}/pause`)).status, 303)
  assert.match(textOf((await panel.ask({ url: page, as: operator })).body), /Paused nightly/)
  const ran = await post(`${page}/${id}/run`)
  assert.match(ran.headers.location ?? '', /\/admin\/core\/bgtask\/\d+$/)
  const taskPage = await panel.ask({ url: ran.headers.location!, as: viewer })
  assert.match(textOf(taskPage.body), /Schedule nightly by hand/)
  const ofSchedule = await panel.ask({ url: `/admin/core/bgtask?schedule=${id}`, as: viewer })
  assert.match(textOf(ofSchedule.body), /Only tasks of the schedule nightly/)
  assert.equal(ofSchedule.body.split('class="cell-task"').length - 1, 1)
  assert.equal(
    (await panel.ask({ url: `/admin/core/bgtask?schedule=${id}&state=failed`, as: viewer })).body.split('class="cell-task"').length - 1,
    0,
  )
  assert.equal((await panel.ask({ url: '/admin/core/bgtask?schedule=999', as: viewer })).body.split('class="cell-task"').length - 1, 0)

  assert.equal((await post(`${page}/${id}/resume`)).status, 303)
  assert.equal((await post(`${page}/${id}/removal`)).status, 303)
  assert.equal((await post(`${page}/${id}/removal`)).status, 404)
  assert.match(textOf((await panel.ask({ url: ran.headers.location!, as: viewer })).body), /a schedule that was removed by hand/)
  assert.deepEqual(acts(), [
    'schedule-added nightly',
    'schedule-changed nightly',
    'schedule-changed nightly',
    'schedule-changed-failed nightly',
    'schedule-paused nightly',
    'schedule-run nightly',
    'schedule-resumed nightly',
    'schedule-removed nightly',
  ])
})

test('what the application declares is told as such, and a secret of its params is kept and not shown', async () => {
  const secret = 'Tr0ub4dor&3-of-a-schedule'
  const { id } = await panel.background.addSchedule('of-code', { cron: '@daily', action: 'test/ok', params: { apiKey: secret, days: 3 } })
  const edit = await panel.ask({ url: `${page}/${id}`, as: operator })
  assert.match(textOf(edit.body), /The application declares this schedule/)
  assert.ok(!edit.body.includes(secret))
  assert.ok(!(await panel.ask({ url: page, as: operator })).body.includes(secret))
  const params = /<textarea name="params"[^>]*>([^<]*)</.exec(edit.body)![1]!.replaceAll('&quot;', '"').replaceAll('&#34;', '"')
  assert.match(params, /\[redacted/)
  assert.equal((await post(`${page}/${id}`, { ...form, cron: '@hourly', params: params.replace('3', '4') })).status, 303)
  const [row] = panel.sql('SELECT params, cron FROM bg_schedule WHERE id = ?', id)
  assert.deepEqual([JSON.parse(row!.params as string), row!.cron], [{ apiKey: secret, days: 4 }, '@hourly'])
})

test('a command is scheduled, run and resumed by those alone who may run it', async () => {
  const admin = await panel.signIn('admin')
  const ofCommand = (name: string) => ({
    ...form,
    action: 'core/command',
    params: JSON.stringify({ name, args: {} }),
    'params.name': name,
    'params.args': '{}',
  })
  assert.equal((await post(page, { ...ofCommand('closed'), name: 'by-operator' })).status, 403)
  assert.equal((await post(page, { ...ofCommand('open'), name: 'open-by-operator' })).status, 303)
  assert.equal((await post(page, { ...ofCommand('closed'), name: 'by-admin' }, admin)).status, 303)
  const { id } = rows().find(({ name }) => name === 'by-admin') as { id: number }
  const before = panel.sql('SELECT COUNT(*) AS n FROM bg_task')
  assert.equal((await post(`${page}/${id}/run`)).status, 403)
  assert.equal((await post(`${page}/${id}`, { ...ofCommand('closed'), cron: '* * * * * *' })).status, 403)
  // Anybody who may add tasks may stop it.
  assert.equal((await post(`${page}/${id}/pause`)).status, 303)
  assert.equal((await post(`${page}/${id}/resume`)).status, 403)
  assert.deepEqual(panel.sql('SELECT COUNT(*) AS n FROM bg_task'), before)
  assert.equal((await post(`${page}/${id}/resume`, {}, admin)).status, 303)
  // And only lately proved ones: a session that was left open schedules no command, though it may still schedule the rest.
  ageProof(panel, admin, 300_001)
  const all = () => JSON.stringify([rows(), panel.sql('SELECT COUNT(*) AS n FROM bg_task')])
  assert.equal((await post(`${page}/${id}/pause`, {}, admin)).status, 303)
  const left = all()
  const asks: [string, Record<string, string>][] = [
    [page, { ...ofCommand('open'), name: 'by-somebody-else' }],
    [`${page}/${id}`, { ...ofCommand('closed'), cron: '* * * * * *' }],
    [`${page}/${id}/run`, {}],
    [`${page}/${id}/resume`, {}],
  ]
  for (const [url, fields] of asks) {
    const asked = await post(url, fields, admin)
    assert.deepEqual([asked.status, /Is it still you\?/.test(asked.body)], [403, true], url)
  }
  assert.equal(all(), left)
  assert.equal((await post(page, { ...form, name: 'of-no-command' }, admin)).status, 303)
  assert.equal((await post(`${page}/${id}/resume`, { proof_password: password }, admin)).status, 303)
})

test('a schedule is due next on the overview, and is told as broken when its action is gone', async () => {
  assert.match(textOf((await panel.ask({ url: '/admin', as: viewer })).body), /of-code|first/i)
  panel.sql("UPDATE bg_schedule SET action = 'gone/away'")
  const list = await panel.ask({ url: page, as: viewer })
  assert.match(textOf(list.body), /Broken of-code/)
  assert.equal((await panel.ask({ url: `${page}/${rows()[0]!.id}`, as: operator })).status, 422)
})
