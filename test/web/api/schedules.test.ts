import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listAudit } from '../../../app/store/audit.ts'
import { openPanel } from '../../helpers/open-panel.ts'
import { dialects } from '../../store/dialects.ts'
import { askWith, codeIn, jsonOf, makeTestToken, sentenceIn } from './ask-with.ts'

interface Told {
  id: number
  name: string
  action: string
  params: unknown
  wanted: string
  nextAt: number | null
  next: number[]
  madeBy: string
  revision: number
}
const able = ['schedule:read', 'schedule:write', 'task:add:test/*']

for (const dialect of dialects) {
  test(`${dialect.name}: declared by a program: once, the same again changes nothing, something else is applied, a pause stays`, {
    skip: dialect.skip,
  }, async t => {
    const panel = await openPanel(t, { env: dialect.name === 'SQLite' ? {} : { DATABASE_URL: await dialect.newUrl() } })
    const { text, id } = await makeTestToken(panel, able, 'shop')
    const ask = askWith(panel, text)
    const put = (body: object) => ask('PUT', '/schedules/nightly', body)
    const wish = { cron: '30 2 * * *', timeZone: 'Europe/Berlin', action: 'test/ok', params: { password: 'hush hush' } }
    const acts = async () =>
      (await listAudit(panel.background.db, { limit: 50 })).map(({ act }) => act).filter(act => /^schedule/.test(act))

    // All at once, as several hosts that start: one of them makes it.
    const first = await Promise.all(Array.from({ length: 6 }, () => put(wish)))
    assert.deepEqual(first.map(({ status }) => status).sort(), [200, 200, 200, 200, 200, 201])
    const made = first.find(({ status }) => status === 201)!
    const { schedule } = jsonOf<{ schedule: Told }>(made)
    assert.deepEqual([made.headers.location, schedule.madeBy], ['/api/v1/schedules/nightly', `shop (token ${id})`])
    assert.ok(!made.body.includes('hush hush') && !made.body.includes('declared'), 'neither its secrets nor their hash are told')
    assert.equal(schedule.next.length, 5)
    assert.equal(schedule.next[0], schedule.nextAt)
    assert.equal(
      (await acts()).filter(act => act === 'schedule-added').length - (await acts()).filter(act => act.endsWith('failed')).length,
      1,
    )

    const before = (await acts()).length
    const again = jsonOf<{ schedule: Told; changed: boolean }>(await put(wish))
    assert.deepEqual([again.changed, again.schedule.revision, (await acts()).length], [false, 0, before], 'no act, so no row of one')

    const paused = jsonOf<{ schedule: Told }>(await ask('POST', '/schedules/nightly/pause')).schedule
    assert.deepEqual([paused.wanted, paused.nextAt, paused.next], ['down', null, []])
    const changed = jsonOf<{ schedule: Told; changed: boolean; added: boolean }>(await put({ ...wish, cron: '0 3 * * *' }))
    assert.deepEqual([changed.added, changed.changed, changed.schedule.wanted, changed.schedule.nextAt], [false, true, 'down', null])
    const resumed = jsonOf<{ schedule: Told }>(await ask('POST', '/schedules/nightly/resume')).schedule
    assert.deepEqual([resumed.wanted, resumed.next[0]], ['up', resumed.nextAt])

    await put(wish)
    await ask('PUT', '/schedules/every', { everyMs: 900_000, action: 'test/ok' })
    const names = async (query: string) => {
      const page = jsonOf<{ schedules: Told[]; further: string | null }>(await ask('GET', `/schedules?${query}`))
      return [page.schedules.map(({ name }) => name), page.further]
    }
    assert.deepEqual(await names('limit=1'), [['every'], 'every'])
    assert.deepEqual(await names('limit=1&after=every'), [['nightly'], null])
    assert.equal(jsonOf<{ schedule: Told }>(await ask('GET', '/schedules/nightly')).schedule.id, schedule.id)

    assert.deepEqual(jsonOf(await ask('DELETE', '/schedules/nightly')), { removed: true })
    assert.equal((await ask('DELETE', '/schedules/nightly')).status, 404)
    assert.deepEqual((await acts()).slice(0, 1), ['schedule-removed'])
    const [row] = await listAudit(panel.background.db, { limit: 1, act: 'schedule-changed' })
    assert.deepEqual([row?.subject, row?.userName, row?.via], ['nightly', `shop (token ${id})`, 'token'])
  })
}

test('a schedule takes a token no further than it reaches by itself', async t => {
  const panel = await openPanel(t)
  const { addSchedule } = panel.background
  await addSchedule('of-others', { everyMs: 86_400_000, action: 'test/fails' })
  await addSchedule('replaces', { everyMs: 86_400_000, action: 'test/ok', unique: 'teacher:17', onConflict: 'replace' })
  await addSchedule('in-code', { everyMs: 86_400_000, action: 'test/ok' })
  const all = async () => JSON.stringify(await panel.background.schedules())
  const before = await all()
  const every = { everyMs: 60_000 }
  const { text } = await makeTestToken(panel, ['schedule:write', 'task:add:test/ok', 'task:add:core/*'])
  const ask = askWith(panel, text)
  for (const [method, path, body, words] of [
    ['PUT', 'mine', { ...every, action: 'test/fails' }, /does not have the scope task:add:test\/fails/],
    ['PUT', 'mine', { ...every, action: 'test/ok-too' }, /does not have the scope task:add:test\/ok-too/],
    // The name of a command stands in its params, which the scope of the action does not cover.
    ['PUT', 'mine', { ...every, action: 'core/command', params: { name: 'deploy', args: {} } }, /does not have the scope command:deploy/],
    ['PUT', 'mine', { ...every, action: 'core/recover' }, /does not have the scope task:control/],
    ['PUT', 'mine', { ...every, action: 'core/cron' }, /does not have the scope cron:run/],
    // When it comes due nobody asks whose task it is that holds the key.
    ['PUT', 'mine', { ...every, action: 'test/ok', unique: 'teacher:17', onConflict: 'replace' }, /does not have the scope task:control/],
    ['PUT', 'mine', { ...every, action: 'test/ok', unique: 'teacher:17', onConflict: 'keepLast' }, /does not have the scope task:control/],
    // What there is stays what it is: an action of others, under a name that it has already, becomes no action of ours.
    ['PUT', 'of-others', { ...every, action: 'test/ok' }, /"of-others" runs what this token may not add/],
    ['POST', 'of-others/pause', undefined, /"of-others" runs what this token may not add/],
    ['POST', 'of-others/resume', undefined, /"of-others" runs what this token may not add/],
    ['DELETE', 'of-others', undefined, /"of-others" runs what this token may not add/],
    ['POST', 'replaces/resume', undefined, /"replaces" stops or overwrites tasks that hold its unique key/],
  ] as const) {
    const answer = await ask(method, `/schedules/${path}`, body)
    assert.equal(answer.status, 403, `${path}: ${answer.body}`)
    assert.match(sentenceIn(answer), words)
    assert.doesNotMatch(answer.body, /did you mean|test\/fails".*runs/)
  }
  // Names are for those who may read them.
  assert.match(sentenceIn(await ask('DELETE', '/schedules/in-cod')), /^There is no schedule "in-cod"\.$/)
  assert.equal((await ask('GET', '/schedules')).status, 403)
  const declared = await ask('PUT', '/schedules/in-code', { ...every, action: 'test/ok' })
  assert.deepEqual([declared.status, codeIn(declared)], [409, 'conflict'])
  assert.match(sentenceIn(declared), /was made by the application's code; change it in the code/)
  assert.equal(await all(), before, 'nothing of it was done')

  const { text: more } = await makeTestToken(panel, ['schedule:write', 'task:add:test/ok', 'task:control'])
  const allowed = { ...every, action: 'test/ok', unique: 'teacher:17', onConflict: 'replace' }
  assert.equal((await askWith(panel, more)('PUT', '/schedules/mine', allowed)).status, 201)
  assert.equal((await ask('POST', '/schedules/mine/pause')).status, 403, 'also for whoever may not say so')
})

test('one that was changed since it was looked at is not removed: what it says now may be beyond the token', async t => {
  const panel = await openPanel(t)
  await panel.background.addSchedule('nightly', { everyMs: 86_400_000, action: 'test/ok' })
  const { text } = await makeTestToken(panel, ['schedule:write', 'task:add:test/ok'])
  const ask = askWith(panel, text)
  // Between reading and removing, in the very database: somebody else changes it.
  panel.sql(
    `CREATE TRIGGER meanwhile AFTER INSERT ON bg_audit WHEN new.act = 'schedule-removed'
     BEGIN UPDATE bg_schedule SET action = 'test/fails', revision = revision + 1 WHERE name = 'nightly'; END`,
  )
  const refused = await ask('DELETE', '/schedules/nightly')
  assert.deepEqual([refused.status, codeIn(refused)], [409, 'busy'], refused.body)
  assert.match(sentenceIn(refused), /was changed by somebody else meanwhile; look at it again/)
  assert.deepEqual(
    (await panel.background.schedules()).map(({ name, action }) => [name, action]),
    [['nightly', 'test/fails']],
  )
  panel.sql('DROP TRIGGER meanwhile')
  assert.equal((await ask('DELETE', '/schedules/nightly')).status, 403)
  assert.equal(await panel.background.removeSchedule('nightly'), true, 'the application removes what it named')
})

test('what is wrong with it is said in a sentence, and nothing is stored', async t => {
  const panel = await openPanel(t)
  const { text } = await makeTestToken(panel, able)
  const ask = askWith(panel, text)
  for (const [name, body, words] of [
    ['x', undefined, /The schedule is .*; it must be an object/],
    ['x', [], /The schedule is an array of 0; it must be an object/],
    ['x', {}, /Neither cron nor everyMs is given/],
    ['x', { action: 'test/ok', cron: '61 * * * *' }, /61/],
    ['x', { action: 'test/ok', cron: '0 0 30 2 *' }, /never comes/],
    ['x', { action: 'test/ok', cron: '@daily', timeZone: 'Europe/Berln' }, /Europe\/Berln/],
    ['x', { action: 'test/ok', everyMs: 1 }, /everyMs is 1; allowed are/],
    ['x', { action: 'test/ok', everyMs: 60_000, cron: '@daily' }, /Both cron and everyMs/],
    ['x', { action: 'test/ok', everyMs: 60_000, overlaps: 'skip' }, /did you mean overlap\?/],
    ['x', { action: 'test/ok', everyMs: 60_000, execType: 'FOREVER' }, /makes ONCE tasks only/],
    ['x', { action: 'test/ok', everyMs: 60_000, unique: 'k', onConflict: 'reject' }, /has nobody to tell/],
    ['x', { action: 'test/nothing', everyMs: 60_000 }, /There is no action "test\/nothing"/],
    ['x', { action: ' test/ok', everyMs: 60_000 }, /There can be no action " test\/ok"/],
    ['x', { action: 'test/ok\u0000', everyMs: 60_000 }, /There can be no action "test\/ok\\u0000"/],
    ['x', { action: 7, everyMs: 60_000 }, /action/],
    ['7', { action: 'test/ok', everyMs: 60_000 }, /name of the schedule is "7"/],
    ['a%20b', { action: 'test/ok', everyMs: 60_000 }, /name of the schedule is "a b"/],
  ] as const) {
    const answer = await ask('PUT', `/schedules/${name}`, body)
    assert.equal(answer.status, 422, `${JSON.stringify(body)}: ${answer.body}`)
    assert.match(sentenceIn(answer), words)
  }
  assert.deepEqual(await panel.background.schedules(), [])
  assert.match(sentenceIn(await ask('GET', '/schedules/none')), /There is no schedule "none"/)
})
