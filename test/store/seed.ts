import { CompiledQuery } from 'kysely'
import type { Db } from '../../app/store/database.ts'

/** When the seeded tasks were added; they ended, or are due, around then. */
export const seedTime = 1_700_000_000_000

/**
 * Fills the tables by INSERT … SELECT: of each hundred tasks 40 succeeded, 10 failed, 5 were cancelled, 45 wait (half for their time);
 * 100 more run, and there are 1,100 loops, most of them down, one with many runs.
 */
export const seed = async (db: Db, rows: number): Promise<void> => {
  const run = (sql: string) => db.kysely.executeQuery(CompiledQuery.raw(sql))
  const numbers = (many: number) =>
    db.dialect === 'sqlite'
      ? `(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${many}) SELECT n FROM numbers) AS numbers`
      : `(SELECT seq AS n FROM seq_1_to_${many}) AS numbers`
  const key = db.dialect === 'sqlite' ? 'randomblob(16)' : 'UNHEX(MD5(n))'
  const columns = [
    ...[
      'uid',
      'action',
      'params',
      'exec_type',
      'type',
      'creator',
      'state',
      'wanted',
      'content',
      'reason',
      'priority',
      'run_at',
      'held_key',
    ],
    ...['grace_ms', 'number', 'host', 'epoch', 'created_at', 'started_at', 'finished_at', 'updated_at', 'due', 'error_key'],
  ]
  const uid = (letter: string) => `concat('${letter}', substr(concat('000000000000000', n), -15))`
  const share = '(n % 100)'
  const once = [
    ...[
      uid('o'),
      "concat('demo/action', n % 20)",
      "concat('{\"n\":', n, '}')",
      "'ONCE'",
      "concat('type', n % 7)",
      "concat('creator', n % 50)",
    ],
    `CASE WHEN ${share} < 40 THEN 'succeeded' WHEN ${share} < 50 THEN 'failed' WHEN ${share} < 55 THEN 'cancelled' ELSE 'waiting' END`,
    ...["'up'", "'some content'", `'{"code":"added","at":${seedTime}}'`, 'n % 11', `${seedTime} + n`],
    `CASE WHEN ${share} >= 55 AND n % 3 = 0 THEN ${key} ELSE NULL END`,
    ...['10000', '1', 'NULL', 'NULL', `${seedTime} + n`, `${seedTime} + n`],
    `CASE WHEN ${share} < 55 THEN ${seedTime} + n ELSE NULL END`,
    `${seedTime} + n`,
    `CASE WHEN ${share} < 55 THEN NULL WHEN n % 2 = 0 THEN 'now' ELSE 'later' END`,
    `CASE WHEN ${share} >= 40 AND ${share} < 50 THEN concat('error', n % 30) ELSE NULL END`,
  ]
  const running = [
    ...[uid('r'), "'demo/long'", "'{}'", "'ONCE'", "'type0'", "'creator0'", "'running'", "CASE WHEN n % 10 = 0 THEN 'down' ELSE 'up' END"],
    ...[
      'NULL',
      'NULL',
      '0',
      `${seedTime}`,
      'NULL',
      '10000',
      '1',
      "concat('host-', n % 3)",
      "'e'",
      `${seedTime}`,
      `${seedTime}`,
      'NULL',
      `${seedTime}`,
      'NULL',
      'NULL',
    ],
  ]
  const loops = [
    ...[uid('l'), "'demo/loop'", "'{}'", "'FOREVER'", "'loops'", "''"],
    "CASE WHEN n > 100 THEN 'stopped' WHEN n > 90 THEN 'tripped' WHEN n > 80 THEN 'backing-off' " +
      "WHEN n > 75 THEN 'stalled' WHEN n > 70 THEN 'stopping' ELSE 'running' END",
    "CASE WHEN n > 100 OR n > 70 AND n <= 75 THEN 'down' ELSE 'up' END",
    ...[
      'NULL',
      'NULL',
      '0',
      `${seedTime}`,
      'NULL',
      '10000',
      '5',
      "CASE WHEN n > 100 THEN NULL ELSE 'host-1' END",
      "'e'",
      `${seedTime}`,
      'NULL',
      'NULL',
      `${seedTime}`,
      'NULL',
      'NULL',
    ],
  ]
  const add = (many: number, values: string[]) =>
    run(`INSERT INTO bg_task (${columns.join(', ')}) SELECT ${values.join(', ')} FROM ${numbers(many)} WHERE n <= ${many}`)
  await add(1_100, loops)
  await add(100, running)
  if (rows > 0) await add(rows, once)
  const runColumns = 'task_id, number, host, epoch, started_at, ended_at, outcome, exit_code'
  await run(
    `INSERT INTO bg_run (${runColumns}) SELECT id, 1, 'host-1', 'e', ${seedTime}, finished_at, ` +
      "CASE WHEN finished_at IS NULL THEN NULL ELSE 'succeeded' END, 0 FROM bg_task WHERE exec_type = 'ONCE' AND due IS NULL",
  )
  await run(
    `INSERT INTO bg_run (${runColumns}) SELECT 1, n, 'host-1', 'e', ${seedTime}, ${seedTime}, 'exited', 1 ` +
      `FROM ${numbers(10_000)} WHERE n <= 10000`,
  )
  await run('UPDATE bg_task SET number = 10000 WHERE id = 1')
  await run(
    'INSERT INTO bg_edit (task_id, n, at, user_name, via, effect, number, revert_of, before_terms, after_terms, touched) ' +
      `SELECT CASE WHEN n <= 100 THEN 1 ELSE n % 1000 + 2 END, n, ${seedTime}, 'user1', 'form', 'next', 1, NULL, '{}', '{}', '[]' ` +
      `FROM ${numbers(100 + Math.trunc(rows / 10))} WHERE n > 0`,
  )
  await run('UPDATE bg_task SET edits = 100 WHERE id = 1')
  const audited = Math.max(1, Math.trunc(rows / 10))
  await run(
    'INSERT INTO bg_audit (id, at, user_name, ip, via, act, subject, detail, hash) ' +
      `SELECT n, ${seedTime} + n * 1000, concat('user', n % 50), NULL, 'form', concat('act', n % 20), n % 1000, NULL, '' FROM ${numbers(audited)} WHERE n > 0`,
  )
  // To a number that is the id of a task, and also how many tasks were added, time and again.
  await run(
    'INSERT INTO bg_audit (id, at, user_name, ip, via, act, subject, detail, hash) ' +
      `SELECT ${audited} + n, ${seedTime} + (${audited} + n) * 1000, 'user1', NULL, 'token', CASE WHEN n % 5 = 0 THEN 'task-restart' ELSE 'tasks-added' END, '7', NULL, '' ` +
      `FROM ${numbers(audited)} WHERE n > 0`,
  )
  await run(`UPDATE bg_audit_chain SET last_id = ${2 * audited}`)
  await run(
    'INSERT INTO bg_session (id_hash, user_id, data, expires_at, created_at, seen_at) ' +
      `SELECT concat('s', n), n % 100, '{}', ${seedTime} + n, 0, 0 FROM ${numbers(Math.max(1, rows / 100))} WHERE n > 0`,
  )
  await run(
    'INSERT INTO bg_token (name, token_hash, scopes, created_by, created_at) ' +
      `SELECT 'deploy', n, '[]', concat('user', n % 1000), 0 FROM ${numbers(Math.max(1, rows / 10))} WHERE n > 0`,
  )
  const made = Math.max(1, Math.trunc(rows / 10))
  await run(
    'INSERT INTO bg_artifact (task_id, number, n, name, path, size_bytes, declared_at, device, inode, born_ns) ' +
      `SELECT n, 1, 1, 'made.csv', '/made.csv', 9, ${seedTime}, '1', '1', '1' FROM ${numbers(made)} WHERE n > 0`,
  )
  await run(
    'INSERT INTO bg_queue_item (queue, data, created_at, free_at, failures, aside_at) ' +
      `SELECT concat('queue', n % 3), '{}', ${seedTime} + n, CASE WHEN n % 2 = 0 THEN ${seedTime} ELSE NULL END, 0, ` +
      `CASE WHEN n % 2 = 0 THEN NULL ELSE ${seedTime} + n END FROM ${numbers(made)} WHERE n > 0`,
  )
  await run(
    'INSERT INTO bg_schedule (name, every_ms, anchor_at, action, params, options, missed, overlap, wanted, next_at, made_by, made_from, revision, created_at, updated_at) ' +
      `SELECT concat('schedule', n), 1000, 0, 'a/b', '{}', '{}', 'once', 'allow', 'up', ${seedTime} + n, 'kim', 'panel', 0, 0, 0 FROM ${numbers(Math.max(1, Math.trunc(rows / 100)))} WHERE n > 0`,
  )
  await run(
    'INSERT INTO bg_schedule_due (schedule_id, due_at, by_hand, task_id, made_at) ' +
      `SELECT n % 50 + 1, ${seedTime} + n, 0, n + 1200, ${seedTime} FROM ${numbers(made)} WHERE n > 0`,
  )
  await run(
    'INSERT INTO bg_error (error_key, action, sample, n, first_at, last_at, last_task) ' +
      `SELECT concat('error', n), concat('demo/action', n % 20), 'it broke', 1000000, 0, ${seedTime} + n, n FROM ${numbers(Math.max(30, rows / 100))} WHERE n > 0`,
  )
  const incidents = Math.max(1, Math.trunc(rows / 10))
  // One of a hundred tripped and lasts, half are errors that have not passed yet.
  await run(
    'INSERT INTO bg_incident (open_key, kind, task_id, action, host, opened_at, closed_at, n, last_at, facts) ' +
      "SELECT CASE WHEN n % 100 = 0 THEN concat('tripped ', n) WHEN n % 2 = 0 THEN concat('failed error', n) ELSE NULL END, " +
      `CASE WHEN n % 2 = 0 AND n % 100 > 0 THEN 'failed' ELSE 'tripped' END, n, 'demo/loop', 'host-1', ${seedTime} + n, ` +
      `CASE WHEN n % 2 = 0 THEN NULL ELSE ${seedTime} + n END, 1, ${seedTime} + n, '{}' FROM ${numbers(incidents)} WHERE n > 0`,
  )
  // Nearly all are told.
  await run(
    'INSERT INTO bg_notice (incident_id, channel, event, pending, tell_at) ' +
      `SELECT id, 'webhook', 'opened', CASE WHEN id % 1000 = 0 THEN 1 ELSE NULL END, opened_at FROM bg_incident`,
  )
  // Each action has ended in each way, as counted by some hosts.
  await run(
    'INSERT INTO bg_run_count (action, outcome, slot, n, last_at) ' +
      `SELECT concat('demo/action', n % 20), concat('outcome', n % 9), n % 7, 1000, ${seedTime} FROM ${numbers(1_260)} WHERE n > 0`,
  )
  await run(`INSERT INTO bg_loop_success (task_id, at) SELECT n, ${seedTime} FROM ${numbers(1_100)} WHERE n > 0`)
  if (db.dialect === 'mysql')
    await run('ANALYZE TABLE bg_task, bg_error, bg_run, bg_edit, bg_audit, bg_session, bg_token, bg_incident, bg_notice')
}
