import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type LoopView, nextPlanAt, type OnceView, plan, type Situation } from '../../app/supervisor/plan.ts'
import type { Task } from '../../app/task/task.ts'

const situation = (more: Partial<Situation> = {}): Situation => ({
  now: 1_000,
  mode: 'running',
  loops: [],
  onces: [],
  due: [],
  maxRunning: 4,
  maxStarting: 4,
  ...more,
})
const loop = (more: Partial<LoopView> = {}): LoopView => ({
  taskId: 1,
  wanted: 'up',
  wish: 0,
  state: 'stopped',
  child: null,
  launching: false,
  nextStartAt: 0,
  servedWish: 0,
  restartStalled: false,
  reload: false,
  ...more,
})
const live = { number: 3, wish: 0, stopping: false, ready: true }
const once = (more: Partial<OnceView> = {}): OnceView => ({
  taskId: 9,
  action: 'a/b',
  number: 1,
  stopping: false,
  ready: true,
  cancelWanted: false,
  deadlineAt: null,
  ...more,
})
const due = (count: number) => Array.from({ length: count }, (_, index) => ({ id: 100 + index }) as Task)

describe('the plan', () => {
  test('a wanted loop without a process is started when its wait is over', () => {
    assert.deepEqual(plan(situation({ loops: [loop()] })), [{ do: 'start-loop', taskId: 1, fresh: false }])
    assert.deepEqual(plan(situation({ loops: [loop({ nextStartAt: 1_001 })] })), [])
    assert.deepEqual(plan(situation({ loops: [loop({ launching: true })] })), [])
  })
  test('a fresh wish ends the wait of a tripped loop, and replaces a living one', () => {
    assert.deepEqual(plan(situation({ loops: [loop({ state: 'tripped', nextStartAt: 99_999, wish: 1 })] })), [
      { do: 'start-loop', taskId: 1, fresh: true },
    ])
    const [step] = plan(situation({ loops: [loop({ state: 'running', wish: 1, child: live })] }))
    assert.deepEqual(step, { do: 'stop', taskId: 1, number: 3, why: 'interrupted', because: 'fresh-wish' })
  })
  test('one that lives is left alone, one that is being stopped is not asked twice', () => {
    assert.deepEqual(plan(situation({ loops: [loop({ child: live, state: 'running' })] })), [])
    assert.deepEqual(plan(situation({ mode: 'leaving', loops: [loop({ child: { ...live, stopping: true } })] })), [])
  })
  test('an unwanted loop is stopped, and settled when nothing of it lives', () => {
    assert.deepEqual(plan(situation({ loops: [loop({ wanted: 'down', child: live })] }))[0], {
      do: 'stop',
      taskId: 1,
      number: 3,
      why: 'cancelled',
      because: 'wanted-down',
    })
    assert.deepEqual(plan(situation({ loops: [loop({ wanted: 'down', state: 'stopping' })] })), [{ do: 'settle-loop', taskId: 1 }])
    assert.deepEqual(plan(situation({ loops: [loop({ wanted: 'down', state: 'stopped' })] })), [])
  })
  test('due tasks are claimed in order, no more than run at once, no more than start at once', () => {
    assert.deepEqual(
      plan(situation({ due: due(9), onces: [once()] })).map(step => step.do === 'claim' && step.task.id),
      [100, 101, 102],
    )
    assert.equal(plan(situation({ due: due(9), maxRunning: 50, maxStarting: 2 })).length, 2)
    assert.equal(plan(situation({ due: due(9), maxRunning: 50, onces: [once({ ready: false }), once({ ready: false })] })).length, 2)
  })
  test('what tells incidents, or acts on many, has slots of its own, and takes none of the others', () => {
    const teller = (id: number) => ({ id, action: 'core/notify' }) as Task
    const claimed = (more: Partial<Situation>) => plan(situation(more)).map(step => step.do === 'claim' && step.task.id)
    const full = Array.from({ length: 4 }, () => once())
    assert.deepEqual(claimed({ maxRunning: 4, onces: full, due: [teller(1), teller(2), teller(3), ...due(3)] }), [1, 2])
    assert.deepEqual(
      claimed({ maxRunning: 4, onces: [...full, once({ action: 'core/notify' })], due: [teller(1), teller(2), ...due(1)] }),
      [1],
    )
    assert.deepEqual(claimed({ maxRunning: 2, onces: [once(), once({ action: 'core/notify' })], due: due(3) }), [100])
    const bulk = (id: number) => ({ id, action: 'core/bulk' }) as Task
    assert.deepEqual(claimed({ maxRunning: 4, onces: full, due: [...due(3), bulk(1), bulk(2)] }), [1])
  })
  test('loops come before tasks when few may start', () => {
    const steps = plan(situation({ maxStarting: 1, loops: [loop()], due: due(3) }))
    assert.deepEqual(
      steps.map(step => step.do),
      ['start-loop'],
    )
  })
  test('a run beyond its timeout or that is cancelled is stopped', () => {
    assert.equal(plan(situation({ onces: [once({ deadlineAt: 1_000 })] }))[0]!.do, 'stop')
    assert.deepEqual(plan(situation({ onces: [once({ deadlineAt: 1_001 })] })), [])
    const [step] = plan(situation({ onces: [once({ cancelWanted: true })] }))
    assert.equal(step?.do === 'stop' && step.why, 'cancelled')
  })
  test('leaving stops all and begins nothing', () => {
    const steps = plan(situation({ mode: 'leaving', loops: [loop({ child: live }), loop({ taskId: 2 })], onces: [once()], due: due(3) }))
    assert.deepEqual(
      steps.map(step => step.do === 'stop' && step.why),
      ['interrupted', 'interrupted'],
    )
  })
  test('the next moment is that of the first wait or deadline', () => {
    assert.equal(nextPlanAt(situation({ loops: [loop({ nextStartAt: 5_000 })], onces: [once({ deadlineAt: 3_000 })] })), 3_000)
    assert.equal(nextPlanAt(situation({ loops: [loop({ child: live })] })), null)
  })
})
