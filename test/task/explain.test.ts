import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ExplainFacts, explainEnd, explainTask } from '../../app/task/explain.ts'
import { outcomeKinds } from '../../app/task/outcome.ts'
import { loopStates, onceStates, reasonCodes, type Task } from '../../app/task/task.ts'
import { translate } from '../../app/texts/translate.ts'

const now = 1_800_000_000_000

test('every state with every reason and supervisor has sentences in both languages', () => {
  let sentences = 0
  for (const execType of ['ONCE', 'FOREVER'] as const) {
    for (const state of execType === 'ONCE' ? onceStates : loopStates) {
      for (const code of [null, ...reasonCodes]) {
        for (const supervisor of ['running', 'stopping', 'down', 'held', 'unknown'] as const) {
          for (const wanted of ['up', 'down'] as const) {
            const reason = code === null ? null : { code, at: now - 5_000 }
            const { why, next } = explainTask(task({ execType, state, wanted, reason, startedAt: null, timeoutMs: 1000 }), {
              now,
              supervisor,
            })
            for (const message of [why, next]) {
              if (!message) continue
              for (const language of ['en', 'zh'] as const) assert.ok(translate(language, message.key, message.values, now).length > 1)
              sentences++
            }
          }
        }
      }
    }
  }
  assert.ok(sentences > 2_000)
})

test('every outcome has its words', () => {
  for (const outcome of [null, ...outcomeKinds]) {
    for (const exitCode of [null, 0, 1, 78]) {
      for (const signal of [null, 'SIGSEGV']) {
        const { key, values } = explainEnd({ outcome, exitCode, signal, recycled: false, error: null, content: null })
        assert.ok(translate('en', key, values).length > 1)
        assert.ok(translate('zh', key, values).length > 1)
      }
    }
  }
  const say = (run: Partial<Parameters<typeof explainEnd>[0]>) => {
    const { key, values } = explainEnd({
      outcome: 'failed',
      exitCode: 1,
      signal: null,
      recycled: false,
      error: null,
      content: null,
      ...run,
    })
    return translate('en', key, values)
  }
  assert.equal(say({ outcome: 'killed', signal: 'SIGKILL' }), 'It was killed by SIGKILL.')
  assert.equal(say({ outcome: 'exited', exitCode: 3 }), 'It left with code 3 without an outcome.')
  assert.equal(say({ error: 'TypeError: x is not a function\n    at y' }), 'It failed: TypeError: x is not a function')
  assert.equal(say({ exitCode: 78 }), 'It left with code 78: its configuration is wrong.')
})

test('the sentences an operator reads at night', () => {
  const cases: [Partial<Task>, ExplainFacts['supervisor'], string][] = [
    [
      { execType: 'FOREVER', state: 'backing-off', runAt: now + 38_000, reason: { code: 'backing-off', at: now, failures: 4 } },
      'running',
      'It ended too soon 4 times in a row. It was killed by SIGSEGV. Next start in 38 seconds; Run now starts it at once.',
    ],
    [
      { execType: 'FOREVER', state: 'tripped', runAt: now + 300_000, reason: { code: 'tripped', at: now - 60_000, failures: 6 } },
      'running',
      'It kept ending too soon (6 times in a row), so it tripped 1 minute ago. It was killed by SIGSEGV. It is tried again in 5 minutes; Run now tries it at once.',
    ],
    [
      { state: 'waiting', runAt: now + 2_000, attempt: 1, maxAttempts: 3, reason: { code: 'retry', at: now, failures: 1 } },
      'running',
      '1 of 3 tries used. It was killed by SIGSEGV. Next try in 2 seconds.',
    ],
    [
      { state: 'waiting', runAt: now - 2_000, reason: { code: 'added', at: now - 2_000 } },
      'down',
      'Added 2 seconds ago and waiting for its turn. Nothing starts while the supervisor is down.',
    ],
    [
      { execType: 'FOREVER', state: 'stopped', wanted: 'down', reason: { code: 'stopped-by-wish', at: now - 7_200_000, by: 'alice' } },
      'running',
      'Stopped by alice 2 hours ago. Start brings it up again.',
    ],
  ]
  for (const [given, supervisor, expected] of cases) {
    const lastRun = {
      outcome: 'killed',
      exitCode: null,
      signal: 'SIGSEGV',
      recycled: false,
      error: null,
      content: null,
      endedAt: now,
    } as const
    const { why, end, next } = explainTask(task({ createdAt: now - 2_000, ...given }), { now, supervisor, lastRun })
    const said = [why, end, next].filter(message => message !== null).map(({ key, values }) => translate('en', key, values, now))
    assert.equal(said.join(' '), expected)
  }
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
  runAt: now,
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
  createdAt: now,
  startedAt: now,
  finishedAt: null,
  updatedAt: now,
  ...given,
})
