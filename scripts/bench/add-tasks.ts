import { randomBytes } from 'node:crypto'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { createConnection } from 'mysql2/promise'
import { startMariaDb } from '../../test/helpers/mariadb.ts'
import { mariadbMissing } from '../../test/helpers/tools.ts'
import { type Figure, makeFigure } from './figure.ts'
import { benchActions, openStage, type Stage } from './stage.ts'
import { median, spread } from './statistics.ts'

const rounds = 5
const roundMs = 400
const atOnce = 1_000

/** addTask one after another and addTasks by the thousand, against prepared inserts of the same row into the same table with the same durability. */
export const measure = async (): Promise<Figure[]> => {
  const figures = await onSqlite()
  if (mariadbMissing()) return figures
  const server = await startMariaDb()
  try {
    return [...figures, ...(await onMariaDb(await server.newDatabase()))]
  } finally {
    await server.stop()
  }
}

type Row = Record<string, string | number>

/** Inserts rows in one transaction, without any of our code. */
interface BareInserts {
  one(row: Row): void | Promise<void>
  /** Several ways to insert many; the fastest is the limit. */
  many: Record<string, (rows: readonly Row[]) => void | Promise<void>>
}

const onSqlite = async () => {
  await using stage = await openStage({ actions: benchActions })
  const row = await storedRow(stage)
  const columns = Object.keys(row)
  using database = new DatabaseSync(stage.background.db.url.slice('sqlite:'.length))
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  const insert = (rows: number) => database.prepare(insertSql(columns, rows))
  const single = insert(1)
  const hundred = insert(100)
  const inTransaction = (work: () => void) => {
    database.exec('BEGIN IMMEDIATE')
    work()
    database.exec('COMMIT')
  }
  return await compare(stage, row, 'SQLite, synchronous=FULL', {
    one: given => void single.run(...(Object.values(given) as SQLInputValue[])),
    many: {
      'one by one in a transaction': rows => inTransaction(() => rows.forEach(one => void single.run(...Object.values(one)))),
      'by 100 in a transaction': rows =>
        inTransaction(() => {
          for (let first = 0; first < rows.length; first += 100)
            hundred.run(...rows.slice(first, first + 100).flatMap(one => Object.values(one)))
        }),
    },
  })
}

const onMariaDb = async (databaseUrl: string) => {
  await using stage = await openStage({ actions: benchActions, databaseUrl })
  const row = await storedRow(stage)
  const columns = Object.keys(row)
  const connection = await createConnection(databaseUrl)
  const single = insertSql(columns, 1)
  const thousand = insertSql(columns, atOnce)
  try {
    return await compare(stage, row, 'MariaDB, flush at commit', {
      one: async given => void (await connection.execute(single, Object.values(given))),
      many: {
        'prepared, in one statement': async rows =>
          void (await connection.execute(
            thousand,
            rows.flatMap(one => Object.values(one)),
          )),
        'as text, in one statement': async rows =>
          void (await connection.query(
            thousand,
            rows.flatMap(one => Object.values(one)),
          )),
      },
    })
  } finally {
    await connection.end()
  }
}

const compare = async ({ background }: Stage, row: Row, where: string, bare: BareInserts): Promise<Figure[]> => {
  const fresh = () => ({ ...row, uid: randomBytes(8).toString('hex') })
  const wishes = Array.from({ length: atOnce }, () => ({ action: 'bench/no-op' }))
  const single = await inTurns({
    ours: () => background.addTask('bench/no-op'),
    bare: () => bare.one(fresh()),
  })
  const many = await inTurns({
    ours: () => background.addTasks(wishes),
    ...Object.fromEntries(Object.entries(bare.many).map(([name, insert]) => [name, () => insert(Array.from({ length: atOnce }, fresh))])),
  })
  const { ours: oursMany, ...ways } = many
  const [best] = Object.entries(ways).sort(([, a], [, b]) => median(b) - median(a))
  const figure = (name: string, what: string, ours: number[], limit: number[], is: string) =>
    makeFigure({
      figure: `${name} (${where})`,
      unit: '/s',
      ours,
      limit: { is, value: limit },
      aim: { of: 'ratio', atLeast: 0.5 },
      note: `${what}; ours ${spread(ours)}, bare ${spread(limit)}`,
    })
  return [
    figure('addTask', 'one after another', single.ours!, single.bare!, 'prepared inserts, a commit each'),
    figure(
      'addTasks',
      `${atOnce} at once`,
      oursMany!.map(rate => rate * atOnce),
      best![1].map(rate => rate * atOnce),
      `inserts of ${atOnce}, ${best![0]}`,
    ),
  ]
}

/** Calls per second of each, a round of every one before the next. */
const inTurns = async (contestants: Record<string, () => unknown>): Promise<Record<string, number[]>> => {
  const rates: Record<string, number[]> = Object.fromEntries(Object.keys(contestants).map(name => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const [name, call] of Object.entries(contestants)) {
      const beganAt = performance.now()
      let calls = 0
      while (performance.now() - beganAt < roundMs) {
        await call()
        calls++
      }
      // The first round warms up.
      if (round >= 0) rates[name]!.push(calls / ((performance.now() - beganAt) / 1000))
    }
  }
  return rates
}

/** A task as addTask stores it, without its id and what is NULL. */
const storedRow = async ({ background }: Stage): Promise<Row> => {
  const { id } = await background.addTask('bench/no-op')
  const row = await background.db.kysely.selectFrom('bg_task').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
  return Object.fromEntries(Object.entries(row).filter(([name, value]) => name !== 'id' && value !== null)) as Row
}

const insertSql = (columns: readonly string[], rows: number) =>
  `INSERT INTO bg_task (${columns.join(', ')}) VALUES ${Array(rows)
    .fill(`(${columns.map(() => '?').join(', ')})`)
    .join(', ')}`
