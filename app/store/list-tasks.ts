import { CompiledQuery } from 'kysely'
import { BgtaskError } from '../errors.ts'
import { type ExecType, loopStates, onceStates, type Task, type TaskState, type Wanted } from '../task/task.ts'
import { told } from '../task/told.ts'
import type { Db } from './database.ts'
import { newestTaskId } from './find-task.ts'
import { meetIndexes } from './meet-indexes.ts'
import { toTask } from './rows.ts'
import { withRetries } from './transact.ts'

/** All that is given must hold. */
export interface TaskFilter {
  states?: readonly TaskState[]
  execType?: ExecType
  type?: string
  action?: string
  creator?: string
  /** Key of the error by which a task failed. */
  error?: string
  uniqueKey?: string
  /** Made by this schedule. */
  scheduleId?: number
  /** The wish, of loops. */
  wanted?: Wanted
  /** How a waiting task waits. */
  due?: 'now' | 'later' | 'after'
  /** Not those of this action. */
  without?: string
  /** Part of action, params, type, creator, unique key or content, whatever its case; looked for in the newest 50,000 rows. */
  text?: string
}

export interface TaskPage {
  tasks: Task[]
  /** What to give as `before` for the page of newer ones, as `after` for that of older ones; null where there is none. */
  newer: string | null
  older: string | null
}

/** Rows read at most for a condition that no index answers, a text say, and entries of indexes where several conditions meet. So many take some 40 ms. */
export const mostRead = 50_000

/** Newest first. @param page.after cursor of the page before this one; @param page.before of the page that follows it */
export const listTasks = (db: Db, filter: TaskFilter, page: { limit: number; after?: string; before?: string }): Promise<TaskPage> =>
  withRetries(async () => {
    const upwards = page.before !== undefined
    const cursor = upwards ? cursorOf(page.before!) : page.after === undefined ? null : cursorOf(page.after)
    const found = await findIds(db, filter, { cursor, upwards, limit: page.limit + 1 })
    const ids = found.slice(0, page.limit)
    const more = found.length > page.limit
    if (upwards) ids.reverse()
    const tasks = await readTasks(db, ids)
    const [first, last] = [ids[0] ?? cursor, ids.at(-1) ?? cursor]
    return {
      tasks,
      newer: first !== null && (upwards ? more : page.after !== undefined) ? String(first) : null,
      older: last !== null && (upwards || more) ? String(last) : null,
    }
  })

/**
 * The ids alone, newest first, for what is done to all of them: a slice at a time.
 * @param slice.before id that they are smaller than @returns next: what to give as `before` for the next slice; null when there is none
 */
export const sliceTaskIds = (
  db: Db,
  filter: TaskFilter,
  { before, atOnce }: { before: number; atOnce: number },
): Promise<{ ids: number[]; next: number | null }> =>
  withRetries(async () => {
    const ids = await findIds(db, filter, { cursor: before, upwards: false, limit: atOnce })
    return { ids, next: ids.length < atOnce ? null : ids.at(-1)! }
  })

/**
 * How many there are, as far as `most`, where an index alone tells it; else null.
 * @param slice.before id that they are smaller than
 */
export const countByIndex = async (
  db: Db,
  filter: TaskFilter,
  { before, most }: { before: number; most: number },
): Promise<number | null> => {
  const others = columns.filter(column => column !== leadOf(filter) && filter[column] !== undefined)
  if (filter.text || filter.scheduleId !== undefined || others.length > 0 || wishConditions(filter).length > 0) return null
  let count = 0
  for (const state of statesOf(filter)) {
    const { sql, parameters } = branch(db, filter, state, null, { cursor: before, upwards: false, limit: most - count })
    const counted = CompiledQuery.raw(`SELECT COUNT(*) AS n FROM (${sql}) AS counted`, parameters)
    const { rows } = await withRetries(() => db.kysely.executeQuery<{ n: number }>(counted))
    count += Number(rows[0]!.n)
    if (count >= most) break
  }
  return count
}

interface Slice {
  cursor: number | null
  /** From older to newer. */
  upwards: boolean
  limit: number
}

// Each state is one range of an index, in the order of ids; the newest of all ranges are the page.
const findIds = async (db: Db, filter: TaskFilter, slice: Slice): Promise<number[]> => {
  if (filter.scheduleId !== undefined) return idsOfSchedule(db, filter.scheduleId, filter, slice)
  if (!filter.text && columns.filter(column => filter[column] !== undefined).length > 1) return idsThatMeet(db, filter, slice)
  // Ids have gaps, so these are the newest 50,000 rows at most.
  const least = filter.text ? (await newestTaskId(db)) - mostRead : null
  const branches = statesOf(filter).map(state => branch(db, filter, state, least, slice))
  if (branches.length === 0) return []
  const sql = branches.map(({ sql }, index) => `SELECT id FROM (${sql}) AS b${index}`).join(' UNION ALL ')
  const { rows } = await db.kysely.executeQuery<{ id: number }>(
    CompiledQuery.raw(
      sql,
      branches.flatMap(({ parameters }) => parameters),
    ),
  )
  const ids = rows.map(row => Number(row.id)).sort((a, b) => (slice.upwards ? a - b : b - a))
  return ids.slice(0, slice.limit)
}

/** Of several conditions that each have an index, the rows that fit all. */
const idsThatMeet = async (db: Db, filter: TaskFilter, { cursor, upwards, limit }: Slice): Promise<number[]> => {
  const given = columns.filter(column => filter[column] !== undefined)
  const found: number[] = []
  for (const state of statesOf(filter) as TaskState[]) {
    const ranges = given.map(column => ({ index: indexFor(column, state), column: columnOf[column], value: filter[column], state }))
    let from = cursor
    let left = mostRead
    for (let ofState = 0; ofState < limit && left > 0; ) {
      const { ids, read } = await meetIndexes(db, ranges, { cursor: from, upwards, limit: limit - ofState, mostRead: left })
      if (ids.length === 0) break
      const held = await thatHold(db, ids, [...kindConditions(filter, state), ...wishConditions(filter)])
      found.push(...held)
      ofState += held.length
      left -= read
      from = ids.at(-1)!
    }
  }
  return found.sort((a, b) => (upwards ? a - b : b - a)).slice(0, limit)
}

const thatHold = async (db: Db, ids: readonly number[], conditions: readonly Condition[]): Promise<number[]> => {
  if (conditions.length === 0) return [...ids]
  const byId: Condition = { sql: `id IN (${ids.map(() => '?').join(', ')})`, parameters: [...ids] }
  const all = [byId, ...conditions]
  const parameters = all.flatMap(condition => condition.parameters)
  const { rows } = await db.kysely.executeQuery<{ id: number }>(CompiledQuery.raw(`SELECT id FROM bg_task ${where(all)}`, parameters))
  return rows.map(row => Number(row.id))
}

/** null: any state, when no index begins with something else. */
const statesOf = (filter: TaskFilter): (TaskState | null)[] => {
  const all: readonly TaskState[] = filter.execType === 'ONCE' ? onceStates : filter.execType === 'FOREVER' ? loopStates : anyState
  if (filter.states) return [...new Set(filter.states)].filter(state => all.includes(state))
  return filter.execType || leadOf(filter) ? [...all] : [null]
}
const anyState = [...new Set<TaskState>([...onceStates, ...loopStates])]

const branch = (db: Db, filter: TaskFilter, state: TaskState | null, least: number | null, { cursor, upwards, limit }: Slice) => {
  const lead = leadOf(filter)
  const range: Condition[] = [
    ...(lead ? [{ sql: `${columnOf[lead]} = ?`, parameters: [filter[lead]] }] : []),
    ...(state === null ? [] : [{ sql: 'state = ?', parameters: [state] }]),
    ...(cursor === null ? [] : [{ sql: `id ${upwards ? '>' : '<'} ?`, parameters: [cursor] }]),
    ...(least === null ? [] : [{ sql: 'id > ?', parameters: [least] }]),
  ]
  const rest: Condition[] = [
    ...columns
      .filter(column => column !== lead && filter[column] !== undefined)
      .map(column => ({ sql: `${columnOf[column]} = ?`, parameters: [filter[column]] })),
    ...kindConditions(filter, state),
    ...wishConditions(filter),
    ...(filter.text ? [textCondition(db, filter.text)] : []),
  ]
  const order = `ORDER BY id ${upwards ? 'ASC' : 'DESC'}`
  const from = `FROM bg_task${db.dialect === 'mysql' ? ` FORCE INDEX (${indexFor(lead, state)})` : ''}`
  // Where other conditions remain, the range ends at the row beyond which reading on would take too long.
  const bound: Condition[] =
    rest.length > 0 && least === null
      ? [
          {
            sql:
              `id ${upwards ? '<=' : '>='} COALESCE((SELECT id ${from} ${where(range)} ${order} LIMIT 1 OFFSET ${mostRead - 1}), ` +
              `${upwards ? Number.MAX_SAFE_INTEGER : 0})`,
            parameters: range.flatMap(condition => condition.parameters),
          },
        ]
      : []
  const all = [...range, ...bound, ...rest]
  return { sql: `SELECT id ${from} ${where(all)} ${order} LIMIT ${limit}`, parameters: all.flatMap(condition => condition.parameters) }
}

// By the index of what a schedule made, newest first; other conditions are looked at as the tasks come, as far as anywhere else.
const idsOfSchedule = async (db: Db, scheduleId: number, filter: TaskFilter, { cursor, upwards, limit }: Slice): Promise<number[]> => {
  const order = upwards ? 'ASC' : 'DESC'
  const range = `FROM bg_schedule_due WHERE schedule_id = ?${cursor === null ? ' AND task_id IS NOT NULL' : ` AND task_id ${upwards ? '>' : '<'} ?`}`
  const conditions: Condition[] = [
    ...columns
      .filter(column => filter[column] !== undefined)
      .map(column => ({ sql: `${columnOf[column]} = ?`, parameters: [filter[column]] })),
    ...(filter.execType ? [{ sql: 'exec_type = ?', parameters: [filter.execType] }] : []),
    ...wishConditions(filter),
    ...(filter.states ? [{ sql: `state IN (${filter.states.map(() => '?').join(', ')})`, parameters: [...filter.states] }] : []),
    ...(filter.text ? [textCondition(db, filter.text)] : []),
  ]
  if (filter.states?.length === 0) return []
  const made = `SELECT DISTINCT task_id ${range} ORDER BY task_id ${order} LIMIT ${conditions.length > 0 ? mostRead : limit}`
  const { rows } = await db.kysely.executeQuery<{ id: number }>(
    CompiledQuery.raw(
      `SELECT bg_task.id FROM (${made}) AS made JOIN bg_task ON bg_task.id = made.task_id ${where(conditions)} ORDER BY bg_task.id ${order} LIMIT ${limit}`,
      [scheduleId, ...(cursor === null ? [] : [cursor]), ...conditions.flatMap(({ parameters }) => parameters)],
    ),
  )
  return rows.map(row => Number(row.id))
}

interface Condition {
  sql: string
  parameters: unknown[]
}
const where = (conditions: readonly Condition[]) =>
  conditions.length ? `WHERE ${conditions.map(condition => condition.sql).join(' AND ')}` : ''

/** Of all states loops and ONCE tasks share one. */
const kindConditions = ({ execType }: TaskFilter, state: TaskState | null): Condition[] =>
  state === 'running' && execType ? [{ sql: 'exec_type = ?', parameters: [execType] }] : []

const wishConditions = ({ wanted, due, without }: TaskFilter): Condition[] => [
  ...(wanted ? [{ sql: 'wanted = ?', parameters: [wanted] }] : []),
  ...(due ? [{ sql: 'due = ?', parameters: [due] }] : []),
  ...(without ? [{ sql: 'action <> ?', parameters: [without] }] : []),
]

const columns = ['uniqueKey', 'error', 'action', 'creator', 'type'] as const
const columnOf = { uniqueKey: 'unique_key', error: 'error_key', action: 'action', creator: 'creator', type: 'type' } as const

/** The column whose index is used; each of them is followed by the state. */
const leadOf = (filter: TaskFilter) => columns.find(column => filter[column] !== undefined)

const indexFor = (lead: (typeof columns)[number] | undefined, state: TaskState | null) =>
  lead === 'uniqueKey' ? 'bg_task_unique' : lead ? `bg_task_${lead}` : state ? 'bg_task_state' : 'PRIMARY'

const textCondition = (db: Db, text: string): Condition => {
  const pattern = `%${text.replace(/[!%_]/g, character => `!${character}`)}%`
  const like = (column: string) =>
    db.dialect === 'sqlite' ? `${column} LIKE ? ESCAPE '!'` : `${column} COLLATE utf8mb4_general_ci LIKE ? ESCAPE '!'`
  const searched = ['action', 'params', 'type', 'creator', 'unique_key', 'content']
  return { sql: `(${searched.map(like).join(' OR ')})`, parameters: searched.map(() => pattern) }
}

const readTasks = async (db: Db, ids: readonly number[]): Promise<Task[]> => {
  if (ids.length === 0) return []
  const rows = await db.kysely.selectFrom('bg_task').selectAll().where('id', 'in', ids).execute()
  return rows.sort((a, b) => Number(b.id) - Number(a.id)).map(toTask)
}

const cursorOf = (text: string): number => {
  const id = Number(text)
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(id)) return id
  throw new BgtaskError(
    'refused',
    told`The page cursor is ${JSON.stringify(text)}; give the value of newer or older of another page, or none.`,
  )
}
