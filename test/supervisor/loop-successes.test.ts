import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Beat, writeBeat } from '../../app/runs/beat.ts'
import type { RunEnd } from '../../app/runs/outcome-file.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { LoopSuccesses } from '../../app/supervisor/loop-successes.ts'
import { runEnd } from '../helpers/run-end.ts'
import { dialects, freshDb } from '../store/dialects.ts'
import { newTask } from '../store/new-task.ts'

const beat = (more: Partial<Beat>): Beat => ({
  ...{ at: 0, pid: 1, iterations: 0, errors: 0, iterationStartedAt: null, lastIterationMs: null, lastIterationAt: null },
  ...{ lastError: null, nextIterationAt: null, progress: null, memoryBytes: 0 },
  ...more,
})
const end = (more: Partial<RunEnd> = {}): RunEnd => runEnd('succeeded', 500, more)

test('what counts as the last success of a loop, and that it is written once, and kept while it cannot be', async t => {
  const runtime = mkdtempSync(join(tmpdir(), 'bgtask-successes-'))
  t.after(() => rmSync(runtime, { recursive: true, force: true }))
  const db = await freshDb(dialects[0]!)
  const ids = (
    await insertTasks(
      db,
      Array.from({ length: 7 }, () => newTask({ execType: 'FOREVER' })),
    )
  ).map(({ task }) => task.id)
  const run = (index: number) => ({ taskId: ids[index]!, number: 1 })
  const troubles: string[] = []
  const successes = new LoopSuccesses({ runtime }, sentence => troubles.push(sentence))
  const written = async () => {
    const rows = await db.kysely.selectFrom('bg_loop_success').selectAll().orderBy('task_id').execute()
    return Object.fromEntries(rows.map(({ task_id, at }) => [ids.indexOf(Number(task_id)), Number(at)]))
  }

  successes.note(run(0), beat({ iterations: 9, errors: 3, lastIterationAt: 90, lastSuccessAt: 80 }))
  successes.note(run(0), beat({ iterations: 2, errors: 2, lastIterationAt: 99, lastSuccessAt: null }))
  // Of runners of older code: known while nothing threw.
  successes.note(run(1), beat({ iterations: 4, lastIterationAt: 70 }))
  successes.note(run(2), beat({ iterations: 4, errors: 1, lastIterationAt: 70 }))
  successes.note(run(2), null)
  // A run without iterations is the success; one that only wants a fresh process is none, nor is one whose iterations say it themselves.
  successes.ended(run(3), end())
  successes.ended(run(4), end({ recycled: true }))
  successes.ended(run(4), end({ iterations: 5 }))
  successes.ended(run(4), end({ kind: 'failed' }))
  // One that ended while nobody watched, and one that left nothing to read.
  const { folder, beat: place } = runtimePaths(runtime).run(`${ids[5]}-1`)
  mkdirSync(folder, { recursive: true })
  writeBeat(place, beat({ iterations: 3, lastIterationAt: 60, lastSuccessAt: 60 }))
  successes.foundEnded(run(5), end({ kind: 'lost' }))
  successes.foundEnded(run(6), end({ kind: 'lost' }))

  const closed = await freshDb(dialects[0]!)
  await closed.close()
  await assert.rejects(successes.flush(closed, ids))
  assert.deepEqual(await written(), {})
  await successes.flush(db, ids)
  assert.deepEqual(await written(), { 0: 80, 1: 70, 3: 500, 5: 60 })

  await db.kysely.deleteFrom('bg_loop_success').execute()
  await successes.flush(db, ids)
  assert.deepEqual(await written(), {}, 'what is written is not written again')
  successes.note(run(0), beat({ iterations: 9, errors: 3, lastSuccessAt: 81 }))
  await successes.flush(db, [])
  assert.deepEqual(await written(), { 0: 81 })
  assert.deepEqual(troubles, [])
})
