import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutcomeKind } from '../../app/task/outcome.ts'
import type { Reason, Task } from '../../app/task/task.ts'
import { sharesOf, type TimelineRun, type TimelineStep, timelineOf } from '../../app/task/timeline.ts'

const s = 1_000
const at = 1_800_000_000_000

test('a task that succeeded at once: added, waited, ran, ended, with the length of each', () => {
  assert.deepEqual(drawn(task({ state: 'succeeded', finishedAt: at + 5 * s }), [run(1, 2, 5, 'succeeded')]), [
    'added 0',
    'waited turn 0-2',
    'ran 1 2-5',
    'succeeded 5',
  ])
})

test('one that was due later waited for its time first, and then for its turn', () => {
  const ran = { ...run(1, 62, 65, 'succeeded'), dueAt: at + 60 * s }
  assert.deepEqual(drawn(task({ state: 'succeeded', finishedAt: at + 65 * s }), [ran]), [
    'added 0',
    'waited due 0-60',
    'waited turn 60-62',
    'ran 1 62-65',
    'succeeded 65',
  ])
})

test('tries, deaths and interruptions follow one another by the rules, each after its wait', () => {
  const runs = [
    run(1, 0, 1, 'failed'),
    { ...run(2, 3, 4, 'killed'), attempt: 1 },
    { ...run(3, 6, 7, 'interrupted'), attempt: 1 },
    { ...run(4, 8, 9, 'timed-out'), attempt: 1 },
  ]
  const next: Partial<Task> = { attempt: 2, runAt: at + 12 * s, reason: reason('retry', 9) }
  assert.deepEqual(drawn(task({ state: 'waiting', number: 4, ...next }), runs.toReversed()), [
    'added 0',
    'waited turn 0-0',
    'ran 1 0-1',
    'waited retry 1-3',
    'ran 2 3-4',
    'waited crash 4-6',
    'ran 3 6-7',
    'waited interruption 7-8',
    'ran 4 8-9',
    'waited retry 9-… until 12',
  ])
})

test('what had ended and was asked for again says so, whatever the end was', () => {
  const again = (outcome: OutcomeKind, more: Partial<TimelineRun> = {}, of: Partial<Task> = {}) =>
    drawn(task({ state: 'running', number: 2, ...of }), [
      { ...run(1, 1, 2, outcome), ...more },
      { ...run(2, 11, null, null), dueAt: at + 10 * s },
    ]).slice(2)
  const asked = (state: string) => ['ran 1 1-2', `${state} 2`, 'asked 10', 'waited turn 10-11', 'ran 2 11-…']
  assert.deepEqual(again('succeeded'), asked('succeeded'))
  assert.deepEqual(again('cancelled'), asked('cancelled'))
  assert.deepEqual(again('failed'), asked('failed'))
  assert.deepEqual(again('exited', { exitCode: 78 }), asked('failed'))
  assert.deepEqual(again('lost', {}, { rerunAfterCrash: false }), asked('failed'))
  assert.deepEqual(again('lost'), ['ran 1 1-2', 'waited crash 2-11', 'ran 2 11-…'])
  const waiting = task({ state: 'waiting', number: 1, reason: { ...reason('wished-again', 30), by: 'kim' } })
  assert.deepEqual(drawn(waiting, [run(1, 1, 2, 'failed')]).slice(2), ['ran 1 1-2', 'failed 2', 'asked 30 by kim', 'waited turn 30-…'])
})

test('three deaths in a row were the end; a fourth run was asked for', () => {
  const runs = [1, 2, 3].map(number => run(number, number * 10, number * 10 + 1, 'killed'))
  assert.deepEqual(drawn(task({ state: 'running', number: 4 }), [...runs, { ...run(4, 100, null, null), dueAt: at + 99 * s }]).slice(6), [
    'ran 3 30-31',
    'failed 31',
    'asked 99',
    'waited turn 99-100',
    'ran 4 100-…',
  ])
})

test('cancelled while it waited, before any run and after one; cancelled while it ran', () => {
  const cancelled = (more: Partial<Task>) => task({ state: 'cancelled', finishedAt: at + 20 * s, reason: reason('cancelled', 20), ...more })
  assert.deepEqual(drawn(cancelled({ number: 0 }), []), ['added 0', 'waited turn 0-20', 'cancelled 20'])
  assert.deepEqual(drawn(cancelled({ number: 0, runAt: at + 60 * s }), [])[1], 'waited due 0-20')
  assert.deepEqual(drawn(cancelled({ number: 1, attempt: 1 }), [run(1, 0, 1, 'failed')]).slice(2), [
    'ran 1 0-1',
    'waited retry 1-20',
    'cancelled 20',
  ])
  const running = cancelled({ number: 1, reason: { ...reason('cancelled', 20), number: 1 } })
  assert.deepEqual(drawn(running, [run(1, 0, 19, 'killed')]).slice(2), ['ran 1 0-19', 'cancelled 20'])
})

test('what it waits for stands at the end', () => {
  const waits = (code: Reason['code'], more: Partial<Task> = {}) =>
    drawn(task({ state: 'waiting', number: 0, reason: reason(code, 0), ...more }), []).at(-1)
  assert.equal(waits('added'), 'waited turn 0-…')
  assert.equal(waits('due-later', { runAt: at + 60 * s }), 'waited due 0-… until 60')
  assert.equal(waits('waits-for-key'), 'waited key 0-…')
  assert.equal(waits('waits-for-turn'), 'waited holder 0-…')
  assert.equal(waits('crashed', { runAt: at + 3 * s }), 'waited crash 0-… until 3')
})

test('older runs that are not at hand are counted, and nothing is made up about the time before', () => {
  assert.deepEqual(drawn(task({ state: 'succeeded', number: 31, finishedAt: at + 99 * s }), [run(31, 90, 99, 'succeeded')]), [
    'added 0',
    'earlier 30',
    'ran 31 90-99',
    'succeeded 99',
  ])
  assert.deepEqual(drawn(task({ state: 'failed', number: 3, finishedAt: at + 99 * s }), []), ['added 0', 'earlier 3', 'failed 99'])
})

test('each step has its place on the whole; nothing is drawn before the end, nor outside', () => {
  const ended = task({ state: 'succeeded', finishedAt: at + 100 * s })
  const steps = timelineOf(ended, [run(1, 90, 100, 'succeeded')])
  assert.deepEqual(sharesOf(ended, steps), [null, { from: 0, length: 900 }, { from: 900, length: 100 }, null])
  assert.ok(sharesOf({ ...ended, finishedAt: null }, steps).every(share => share === null))
  // Clocks that differ: what ends after the end, begins before the beginning, or takes no time.
  for (const [from, to] of [
    [-5, 200],
    [100, 100],
    [0, 0],
    [99.99, 100],
  ] as const) {
    for (const share of sharesOf(ended, timelineOf(ended, [run(1, from, to, 'succeeded')]))) {
      if (share) assert.ok(share.from >= 0 && share.length >= 8 && share.from + share.length <= 1_000, JSON.stringify({ from, to, share }))
    }
  }
})

const drawn = (of: Task, runs: TimelineRun[]): string[] => timelineOf(of, runs).map(told)

const told = (step: TimelineStep): string => {
  const second = (time: number | null) => (time === null ? '…' : String((time - at) / s))
  switch (step.kind) {
    case 'added':
      return `added ${second(step.at)}`
    case 'earlier':
      return `earlier ${step.runs}`
    case 'ended':
      return `${step.state} ${second(step.at)}`
    case 'asked':
      return `asked ${second(step.at)}${step.by === null ? '' : ` by ${step.by}`}`
    default: {
      assert.equal(step.ms, step.endAt === null ? null : step.endAt - step.at)
      const what = step.kind === 'ran' ? `ran ${step.run.number}` : `waited ${step.why}`
      const until = step.kind === 'waited' && step.until !== null ? ` until ${second(step.until)}` : ''
      return `${what} ${second(step.at)}-${second(step.endAt)}${until}`
    }
  }
}

const reason = (code: Reason['code'], second: number): Reason => ({ code, at: at + second * s })

const run = (number: number, from: number, to: number | null, outcome: OutcomeKind | null): TimelineRun => ({
  number,
  startedAt: at + from * s,
  endedAt: to === null ? null : at + to * s,
  outcome,
  exitCode: null,
  attempt: 0,
  dueAt: null,
})

const task = (given: Partial<Task>): Task => ({
  id: 7,
  uid: 'abcdefghijklmnop',
  action: 'demo/greet',
  params: {},
  execType: 'ONCE',
  type: '',
  creator: '',
  state: 'waiting',
  wanted: 'up',
  content: null,
  reason: null,
  priority: 0,
  runAt: at,
  uniqueKey: null,
  attempt: 0,
  maxAttempts: 1,
  timeoutMs: null,
  graceMs: 10_000,
  rerunAfterCrash: true,
  crashCount: 0,
  number: 1,
  wish: 0,
  superseded: 0,
  edits: 0,
  host: null,
  epoch: null,
  createdAt: at,
  startedAt: null,
  finishedAt: null,
  updatedAt: at,
  ...given,
})
