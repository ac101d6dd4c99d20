import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { planResidents, type ResidentActionView, type ResidentView } from '../../app/supervisor/plan-residents.ts'
import { residentDefaults } from '../../app/task/resident-options.ts'

const action = (more: Partial<ResidentActionView> = {}): ResidentActionView => ({
  action: 'a/b',
  options: residentDefaults,
  due: true,
  restUntil: 0,
  ...more,
})
const resident = (more: Partial<ResidentView> = {}): ResidentView => ({
  name: 'r1',
  action: 'a/b',
  options: residentDefaults,
  state: 'ready',
  held: 0,
  handed: 0,
  ahead: 0,
  startedAt: 0,
  idleSince: 1_000,
  rssMb: 0,
  reload: false,
  ...more,
})
const planned = (actions: ResidentActionView[], residents: ResidentView[], mode: 'running' | 'leaving' = 'running') =>
  planResidents({ now: 1_000, mode, actions, residents })

describe('what is to be done about resident runners', () => {
  test('one is started when something is due and none has a hand free, and rests after one that did not come up', () => {
    assert.deepEqual(planned([action()], []), [{ do: 'start', action: 'a/b' }])
    assert.deepEqual(planned([action({ due: false })], []), [])
    assert.deepEqual(planned([action({ restUntil: 1_001 })], []), [])
    assert.deepEqual(planned([action()], [resident({ state: 'starting' })]), [])
    const two = { ...residentDefaults, residents: 2 }
    assert.deepEqual(planned([action({ options: two })], [resident({ options: two, held: 1, idleSince: null })]), [
      { do: 'start', action: 'a/b' },
    ])
  })

  test('it is handed what it can do at once and what it does soon; by halves, and never more than it may have in all', () => {
    const options = { ...residentDefaults, concurrency: 4 }
    assert.deepEqual(planned([action({ options })], [resident({ options })]), [{ do: 'hand', name: 'r1', most: 4 }])
    assert.deepEqual(planned([action({ options })], [resident({ options, ahead: 100, held: 60, idleSince: null })]), [])
    assert.deepEqual(planned([action({ options })], [resident({ options, ahead: 100, held: 52, idleSince: null })]), [
      { do: 'hand', name: 'r1', most: 52 },
    ])
    const three = { ...residentDefaults, maxTasks: 3 }
    assert.deepEqual(planned([action({ options: three })], [resident({ options: three, ahead: 50, handed: 1 })]), [
      { do: 'hand', name: 'r1', most: 2 },
    ])
  })

  test('one that has had its tasks is replaced, without waiting for its last one', () => {
    const options = { ...residentDefaults, maxTasks: 3 }
    assert.deepEqual(planned([action({ options })], [resident({ options, handed: 3, held: 1, idleSince: null })]), [
      { do: 'start', action: 'a/b' },
    ])
    assert.deepEqual(planned([action({ options, due: false })], [resident({ options, handed: 3 })]), [
      { do: 'leave', name: 'r1', because: 'recycled after 3 tasks' },
    ])
  })

  test('too old, too large, reloaded, idle, or of no resident action any more: it leaves', () => {
    const leaves = (more: Partial<ResidentView>, actions = [action({ due: false })]) =>
      planned(actions, [resident(more)]).map(step => step.do === 'leave' && step.because)
    assert.deepEqual(leaves({ options: { ...residentDefaults, maxAgeMs: 1_000 } }), ['recycled after 1000 ms'])
    assert.deepEqual(leaves({ options: { ...residentDefaults, maxRssMb: 100 }, rssMb: 101 }), ['recycled at 101 MB of memory'])
    assert.deepEqual(leaves({ reload: true }), ['reload'])
    assert.deepEqual(leaves({ idleSince: 1_000 - 59_999 }), [])
    assert.deepEqual(leaves({ idleSince: 1_000 - 60_000 }), ['nothing to do for 60000 ms'])
    assert.deepEqual(leaves({}, []), ['its action is resident no more'])
    assert.deepEqual(leaves({ state: 'leaving' }, []), [])
    assert.deepEqual(planResidents({ now: 0, mode: 'running', actions: null, residents: [resident()] }), [], 'not before the map is known')
  })

  test('when the supervisor leaves, so do all', () => {
    assert.deepEqual(planned([action()], [resident(), resident({ name: 'r2', state: 'leaving' })], 'leaving'), [
      { do: 'leave', name: 'r1', because: 'the supervisor leaves' },
    ])
  })
})
