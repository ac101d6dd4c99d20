import { setImmediate } from 'node:timers/promises'
import { CompiledQuery } from 'kysely'
import { type Db, openDatabase } from '../../app/store/database.ts'
import { insertSchedule, type NewSchedule } from '../../app/store/insert-schedule.ts'
import { keepSamplesMs, sampleSpans, spanAt } from '../../app/task/sample.ts'
import { newSchedule, scheduledOptions } from '../../test/store/new-schedule.ts'

/** What there is afterwards. */
export interface History {
  tasks: number
  runs: number
  loops: number
  /** Ids of tasks, to look at some of them. */
  first: number
  last: number
}

const loops = 200
const waiting = 20_000
const daysBack = 30
const dayMs = 86_400_000
/** By one statement: neither too much for a log of changes nor a round trip for little. */
const atOnce = 250_000

/**
 * Fills an empty, migrated database by INSERT … SELECT, with secondary indexes made when the rows are there: that takes a fifth of the time.
 * Half of the runs are those of ONCE tasks, of which 85 of 100 succeeded, 10 failed and 5 were cancelled, over 30 days; the other half are lives of
 * 200 loops. Some tasks wait. Audit, errors, samples and due times of a schedule are there in proportion.
 */
export const seedHistory = async (url: string, runs: number, progress: (what: string) => void, now = Date.now()): Promise<History> => {
  const db = await openDatabase(url, { statementTimeoutMs: 3_600_000 })
  try {
    const ended = Math.floor(runs / 2)
    const lives = Math.floor((runs - ended) / loops)
    const from = now - daysBack * dayMs
    const run = (sql: string) => db.kysely.executeQuery(CompiledQuery.raw(sql))
    if (db.dialect === 'sqlite')
      for (const pragma of ['synchronous = OFF', 'cache_size = -1000000', 'temp_store = MEMORY']) await run(`PRAGMA ${pragma}`)
    const makeIndexes = await dropIndexes(db, ['bg_task', 'bg_audit'])
    const insert = async (table: string, columns: Record<string, string>, many: number) => {
      for (let begin = 1; begin <= many; begin += atOnce) {
        const end = Math.min(many, begin + atOnce - 1)
        await run(
          `INSERT INTO ${table} (${Object.keys(columns).join(', ')}) SELECT ${Object.values(columns).join(', ')} FROM ${numbers(db, begin, end)}`,
        )
        // Between two statements a signal is heard.
        await setImmediate()
        progress(`${table}: ${end.toLocaleString('en')} of ${many.toLocaleString('en')}`)
      }
    }
    const padded = (value: string, length: number) => `substr(concat('${'0'.repeat(length)}', ${value}), -${length})`
    const integer = (value: string) => (db.dialect === 'sqlite' ? `CAST(${value} AS INTEGER)` : `FLOOR(${value})`)
    const at = `(${from} + ${integer(`n * ${(daysBack * dayMs) / (ended + 1)}`)})`
    const fixed = { priority: '0', grace_ms: '10000', number: '1', host: "'host-1'", epoch: "'epoch-1'", exec_type: "'ONCE'" }
    const failed = 'n % 100 >= 85 AND n % 100 < 95'
    await insert(
      'bg_task',
      {
        // Given, since MariaDB leaves ids out where many rows are inserted at once.
        id: 'n',
        ...{ ...fixed, exec_type: "'FOREVER'", number: String(lives) },
        uid: `concat('l', ${padded('n', 15)})`,
        action: "concat('shop/loop', n % 10)",
        params: "concat('{\"shop\":', n, '}')",
        ...{ type: "concat('feeds', n % 4)", creator: "''", content: 'NULL', due: 'NULL', error_key: 'NULL' },
        state: "CASE WHEN n % 20 = 0 THEN 'tripped' WHEN n % 10 = 0 THEN 'stopped' ELSE 'running' END",
        wanted: "CASE WHEN n % 20 = 10 THEN 'down' ELSE 'up' END",
        reason: `'{"code":"started","at":${now}}'`,
        ...{ run_at: String(from), created_at: String(from), started_at: String(now), finished_at: 'NULL', updated_at: String(now) },
      },
      loops,
    )
    await insert(
      'bg_task',
      {
        id: `n + ${loops}`,
        ...fixed,
        uid: `concat('h', ${padded('n', 15)})`,
        action: "concat('shop/export', n % 20)",
        params: 'concat(\'{"order":\', n, \',"customer":"customer \', n % 9973, \'"}\')',
        ...{ type: "concat('type', n % 7)", creator: "concat('creator', n % 50)", wanted: "'up'", due: 'NULL' },
        state: `CASE WHEN n % 100 < 85 THEN 'succeeded' WHEN n % 100 < 95 THEN 'failed' ELSE 'cancelled' END`,
        content: `CASE WHEN ${failed} THEN concat('order ', n, ' was refused by the bank') ELSE concat('exported ', n % 977, ' rows') END`,
        error_key: `CASE WHEN ${failed} THEN ${padded('n % 3000', 32)} ELSE NULL END`,
        reason: `concat('{"code":"', CASE WHEN n % 100 < 85 THEN 'succeeded' WHEN n % 100 < 95 THEN 'failed' ELSE 'cancelled' END, '","at":', ${at}, '}')`,
        ...{ run_at: at, created_at: at, started_at: at, finished_at: `${at} + 900`, updated_at: `${at} + 900` },
      },
      ended,
    )
    await insert(
      'bg_task',
      {
        id: `n + ${loops + ended}`,
        ...fixed,
        number: '0',
        uid: `concat('w', ${padded('n', 15)})`,
        ...{
          action: "concat('shop/mail', n % 5)",
          params: "concat('{\"mail\":', n, '}')",
          type: "'mail'",
          creator: "concat('creator', n % 50)",
        },
        ...{ state: "'waiting'", wanted: "'up'", content: 'NULL', error_key: 'NULL', host: 'NULL', epoch: 'NULL' },
        reason: `'{"code":"added","at":${now}}'`,
        due: "CASE WHEN n % 2 = 0 THEN 'now' ELSE 'later' END",
        run_at: `CASE WHEN n % 2 = 0 THEN ${now} - n ELSE ${now} + 3600000 + n * 1000 END`,
        ...{ created_at: String(now), started_at: 'NULL', finished_at: 'NULL', updated_at: String(now) },
      },
      waiting,
    )
    const of = { host: "'host-1'", epoch: "'epoch-1'", attempt: '1', adopted: '0', recycled: '0' }
    await insert(
      'bg_run',
      {
        ...of,
        task_id: `n + ${loops}`,
        number: '1',
        ...{ started_at: at, ended_at: `${at} + 900` },
        outcome: "CASE WHEN n % 100 < 85 THEN 'succeeded' WHEN n % 100 < 95 THEN 'failed' ELSE 'cancelled' END",
        ...{ exit_code: `CASE WHEN ${failed} THEN 1 ELSE 0 END`, peak_memory_bytes: '60000000', cpu_ms: '120', output_bytes: '900' },
        content: "concat('exported ', n % 977, ' rows')",
      },
      ended,
    )
    // In the order of the key: life after life of each loop.
    const life = `((n - 1) % ${lives} + 1)`
    const lifeAt = `(${from} + ${integer(`${life} * ${(daysBack * dayMs) / lives}`)})`
    await insert(
      'bg_run',
      {
        ...of,
        task_id: `${integer(`(n - 1) / ${lives}`)} + 1`,
        number: life,
        started_at: lifeAt,
        ended_at: `CASE WHEN ${life} = ${lives} AND n % 20 <> 0 THEN NULL ELSE ${lifeAt} + 60000 END`,
        outcome: `CASE WHEN ${life} = ${lives} AND n % 20 <> 0 THEN NULL WHEN n % 9 = 0 THEN 'exited' ELSE 'interrupted' END`,
        ...{ exit_code: '1', peak_memory_bytes: '60000000', cpu_ms: '120', output_bytes: '900', content: 'NULL' },
      },
      lives * loops,
    )
    await insert(
      'bg_audit',
      {
        id: 'n',
        at: `${from} + ${integer(`n * ${(daysBack * dayMs) / (ended / 10 + 1)}`)}`,
        ...{
          user_name: "concat('user', n % 50)",
          ip: 'NULL',
          via: "'form'",
          act: "concat('act', n % 20)",
          subject: 'n % 1000',
          detail: 'NULL',
          hash: "''",
        },
      },
      Math.max(1, Math.floor(ended / 10)),
    )
    await run(`UPDATE bg_audit_chain SET last_id = ${Math.max(1, Math.floor(ended / 10))}`)
    await insert(
      'bg_error',
      {
        error_key: padded('n - 1', 32),
        action: "concat('shop/export', n % 20)",
        sample: "concat('order ', n, ' was refused by the bank')",
        n: String(Math.ceil(ended / 30_000)),
        ...{ first_at: String(from), last_at: `${now} - n * 1000`, last_task: `n + ${loops}` },
      },
      3_000,
    )
    for (const spanMs of sampleSpans) {
      const kept = Math.floor(keepSamplesMs[spanMs] / spanMs)
      await insert(
        'bg_sample',
        {
          task_id: `${integer(`(n - 1) / ${kept}`)} + 1`,
          span_ms: String(spanMs),
          at: `${spanAt(now, spanMs)} - ((n - 1) % ${kept} + 1) * ${spanMs}`,
          // Of every fifth loop no iteration succeeds.
          iterations: `CASE WHEN ${integer(`(n - 1) / ${kept}`)} % 5 = 0 THEN 0 ELSE 12 END`,
          ...{ errors: '0', durations: `'{"20":12}'`, cpu_ms: '300', memory_bytes: '60000000', output_bytes: '100' },
        },
        loops * kept,
      )
    }
    await insertSchedule(db, hourly(now), now)
    await insert(
      'bg_schedule_due',
      { schedule_id: '1', due_at: `${from} + n * 1000`, by_hand: '0', task_id: `${loops} + n * 3`, made_at: `${from} + n * 1000` },
      Math.floor(ended / 30),
    )
    for (const [state, part] of [
      ['succeeded', 0.85],
      ['failed', 0.1],
      ['cancelled', 0.05],
    ] as const)
      await run(`INSERT INTO bg_counter (name, state, day, host, n) VALUES ('ended', '${state}', 0, '', ${Math.round(ended * part)})`)
    await makeIndexes(progress)
    progress('statistics')
    await run(db.dialect === 'sqlite' ? 'ANALYZE' : 'ANALYZE TABLE bg_task, bg_run, bg_audit, bg_error, bg_sample, bg_schedule_due')
    return { tasks: ended + waiting + loops, runs: ended + lives * loops, loops, first: loops + 1, last: loops + ended }
  } finally {
    await db.close()
  }
}

const hourly = (now: number): NewSchedule =>
  newSchedule('hourly', 0, {
    ...{ rule: { everyMs: 3_600_000, anchorAt: 0 }, action: 'shop/export1', params: {} },
    options: { ...scheduledOptions, type: '', creator: '' },
    ...{ missed: 'once', nextAt: now + 3_600_000, madeBy: 'eva' },
  })

const numbers = (db: Db, from: number, to: number) =>
  db.dialect === 'sqlite'
    ? `(WITH RECURSIVE numbers(n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM numbers WHERE n < ${to}) SELECT n FROM numbers) AS numbers`
    : `(SELECT seq AS n FROM seq_${from}_to_${to}) AS numbers`

/** @returns what makes them again, as they were */
const dropIndexes = async (db: Db, tables: readonly string[]): Promise<(progress: (what: string) => void) => Promise<void>> => {
  const rows = async <T>(sql: string) => (await db.kysely.executeQuery<T>(CompiledQuery.raw(sql))).rows
  const made: string[] = []
  for (const table of tables) {
    if (db.dialect === 'sqlite') {
      const indexes = await rows<{ name: string; sql: string }>(
        `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '${table}' AND sql IS NOT NULL`,
      )
      for (const { name, sql } of indexes) {
        await rows(`DROP INDEX ${name}`)
        made.push(sql)
      }
    } else {
      const [shown] = await rows<Record<string, string>>(`SHOW CREATE TABLE ${table}`)
      const lines = shown!['Create Table']!.split('\n').map(line => line.trim().replace(/,$/, ''))
      const keys = lines.filter(line => /^(UNIQUE )?KEY /.test(line))
      await rows(`ALTER TABLE ${table} ${keys.map(line => `DROP INDEX ${/`(\w+)`/.exec(line)![1]}`).join(', ')}`)
      made.push(`ALTER TABLE ${table} ${keys.map(line => `ADD ${line}`).join(', ')}`)
    }
  }
  return async progress => {
    for (const sql of made) {
      progress(sql.slice(0, 100).replaceAll(/\s+/g, ' '))
      await rows(sql)
    }
  }
}
