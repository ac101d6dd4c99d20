import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Schedule } from '../../app/task/schedule.ts'
import { openScene } from '../api/scene.ts'
import { json, run } from './run.ts'

test('schedules in a terminal: made, listed, run, paused, resumed, removed', async t => {
  const { env, background } = await openScene(t)
  assert.match((await run(env, 'schedule', 'list')).stdout, /There is no schedule yet\. An example: schedule add/)
  const made = await run(env, 'schedule', 'add', 'nightly', 'test/plain', '{"a": 1}', '--cron', '30 2 * * *', '--zone', 'europe/berlin')
  assert.equal(made.code, 0, made.stderr)
  assert.match(
    made.stdout,
    /^Schedule nightly is added: test\/plain, 30 2 \* \* \* \(Europe\/Berlin\)\. It is next due on .* 02:30 \+0[12]:00\.\n$/,
  )
  const told = json<Schedule>(await run(env, 'schedule', 'add', 'feeds', 'test/plain', '--every', '15m', '--overlap', 'skip', '--json'))
  assert.deepEqual([told.missed, told.overlap, told.params], ['once', 'skip', {}])
  assert.match((await run(env, 'schedule', 'list')).stdout, /nightly +30 2 \* \* \* \(Europe\/Berlin\) +test\/plain +once/)
  assert.match((await run(env, 'schedule', 'run', 'nightly')).stdout, /^Task 1 is added: test\/plain\.\n$/)
  assert.equal((await run(env, 'schedule', 'pause', 'nightly')).code, 0)
  const listed = json<Schedule[]>(await run(env, 'schedule', 'list', '--json'))
  assert.deepEqual(
    listed.map(({ name, wanted, nextAt }) => [name, wanted, nextAt === null]),
    [
      ['feeds', 'up', false],
      ['nightly', 'down', true],
    ],
  )
  assert.match((await run(env, 'schedule', 'resume', 'nightly')).stdout, /goes on\. It is next due on/)
  assert.match((await run(env, 'schedule', 'remove', 'nightly')).stdout, /removed; its tasks stay/)
  assert.deepEqual(
    (await background.schedules()).map(({ name }) => name),
    ['feeds'],
  )
})

test('the next times of a cron text, in its zone, with the distance from UTC', async t => {
  const { env } = await openScene(t)
  const { stdout } = await run(env, 'schedule', 'next', '0 12 * * *', '--zone', 'Asia/Shanghai', '--count', '2')
  assert.match(stdout, /^(\w{3}, \d{4}-\d\d-\d\d 12:00 \+08:00\n){2}$/)
  assert.match((await run(env, 'schedule', 'next', '0 0 30 2 *')).stdout, /never comes/)
})

test('what is wrong is said, and exits accordingly', async t => {
  const { env } = await openScene(t)
  for (const [args, code, words] of [
    [['add', 'x', 'test/plain'], 2, /Say when: --cron/],
    [['add', 'x', 'test/plain', '--cron', '99 * * * *'], 2, /"99" as its minute/],
    [['add', 'x', 'test/plain', '--every', 'soon'], 2, /allowed are durations/],
    [['add', 'x', 'test/none', '--every', '15m'], 1, /no action "test\/none"/],
    [['next', '* * * *'], 2, /has 4 fields/],
    [['next', '* * * * *', '--zone', 'Berlin'], 2, /Europe\/Berlin/],
    [['run', 'none'], 1, /no schedule "none"/],
  ] as const) {
    const ended = await run(env, 'schedule', ...args)
    assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stderr}`)
    assert.match(ended.stderr, words)
    assert.equal(ended.stdout, '')
  }
})
