import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { Db } from '../../app/store/database.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { listTasks, sliceTaskIds, type TaskFilter } from '../../app/store/list-tasks.ts'
import { meetIndexes } from '../../app/store/meet-indexes.ts'
import { dialects, freshDb } from './dialects.ts'
import { newTask } from './new-task.ts'

const many = 1_500

for (const dialect of dialects) {
  describe(`several conditions that each have an index, in ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    let all: { id: number; type: string; action: string; creator: string; execType: string }[]
    before(async () => {
      db = await freshDb(dialect)
      const tasks = Array.from({ length: many }, (_, n) =>
        newTask({
          type: `type${n % 3}`,
          action: `a/b${n % 5}`,
          // Rare, all at one place, and of no other action.
          creator: n > 700 && n < 760 ? 'rare' : `creator${n % 7}`,
          ...(n % 11 === 0 ? { execType: 'FOREVER' as const } : {}),
        }),
      )
      all = (await insertTasks(db, tasks)).map(({ task }) => task)
      for (const { id } of all.filter(({ execType }, n) => execType === 'ONCE' && n % 4 === 0))
        await db.kysely.updateTable('bg_task').set({ state: 'running', due: null }).where('id', '=', id).execute()
      for (const { id } of all.filter(({ execType }, n) => execType === 'FOREVER' && n % 2 === 0))
        await db.kysely.updateTable('bg_task').set({ state: 'running', wanted: 'down' }).where('id', '=', id).execute()
    })

    const expected = async (filter: TaskFilter) => {
      const rows = await db.kysely.selectFrom('bg_task').selectAll().orderBy('id', 'desc').execute()
      return rows
        .filter(
          row =>
            (!filter.type || row.type === filter.type) &&
            (!filter.action || row.action === filter.action) &&
            (!filter.creator || row.creator === filter.creator) &&
            (!filter.execType || row.exec_type === filter.execType) &&
            (!filter.wanted || row.wanted === filter.wanted) &&
            (!filter.states || filter.states.some(state => state === row.state)),
        )
        .map(row => Number(row.id))
    }
    const filters: TaskFilter[] = [
      { type: 'type1', action: 'a/b2' },
      { type: 'type1', action: 'a/b2', creator: 'creator3' },
      { type: 'type2', creator: 'rare' },
      { action: 'a/b1', creator: 'rare', states: ['running', 'waiting'] },
      { type: 'type0', action: 'a/b4', execType: 'ONCE', states: ['running'] },
      { type: 'type0', action: 'a/b0', execType: 'FOREVER' },
      { type: 'type0', action: 'a/b0', execType: 'FOREVER', wanted: 'down' },
      { type: 'type0', creator: 'nobody' },
      { type: 'nothing', action: 'a/b0', creator: 'rare' },
    ]

    test('let through what fits all of them, page after page, downwards and back', async () => {
      for (const filter of filters) {
        const fits = await expected(filter)
        const seen: number[] = []
        let after: string | null = null
        do {
          const page = await listTasks(db, filter, { limit: 7, ...(after === null ? {} : { after }) })
          seen.push(...page.tasks.map(({ id }) => id))
          after = page.older
        } while (after !== null)
        assert.deepEqual(seen, fits, JSON.stringify(filter))
        const upwards: number[] = []
        let from: string | null = '0'
        do {
          const page = await listTasks(db, filter, { limit: 7, before: from })
          upwards.push(...page.tasks.map(({ id }) => id).toReversed())
          from = page.newer
        } while (from !== null)
        assert.deepEqual(upwards, fits.toReversed(), JSON.stringify(filter))
        const { ids } = await sliceTaskIds(db, filter, { before: all.at(-1)!.id + 1, atOnce: many })
        assert.deepEqual(ids, fits)
      }
    })

    test('are met without reading what lies between, and no further than is said', async () => {
      const range = (column: 'type' | 'action' | 'creator', value: string) => ({
        index: `bg_task_${column}`,
        column,
        value,
        state: 'waiting',
      })
      const slice = { cursor: null, upwards: false, limit: 50, mostRead: 10_000 }
      const rare = await meetIndexes(db, [range('creator', 'rare'), range('type', 'type1')], slice)
      assert.ok(rare.ids.length > 5)
      // Of the 350 of this type that wait those after the rare ones are passed over.
      assert.ok(rare.read < 300, String(rare.read))
      const none = await meetIndexes(db, [range('creator', 'nobody'), range('type', 'type1')], slice)
      assert.deepEqual(none, { ids: [], read: 0 })
      const apart = await meetIndexes(db, [range('type', 'type1'), range('type', 'type2')], { ...slice, mostRead: 250 })
      assert.deepEqual(apart.ids, [])
      assert.ok(apart.read >= 250 && apart.read <= 800, String(apart.read))
    })
  })
}
