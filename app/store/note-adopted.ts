import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'
import { transact } from './transact.ts'

/** A later supervisor has taken over live runs of ONCE tasks: their rows name it, and say so. One commit for all; those that have ended keep their state. */
export const noteAdopted = (
  db: Db,
  runs: readonly { taskId: number; number: number }[],
  owner: { host: string; epoch: string },
  now = Date.now(),
): Promise<void> =>
  transact(db, async trx => {
    // Everybody locks in the order of ids, so that who ends tasks and who takes them over never wait for each other.
    const list = JSON.stringify([...runs].sort((a, b) => a.taskId - b.taskId).map(({ taskId, number }) => [taskId, number]))
    const reason = `{"code":"adopted","at":${now},"number":`
    const given = [owner.host, owner.epoch, now, reason]
    const { task, run } = db.dialect === 'sqlite' ? sqlite : mysql
    await trx.executeQuery(CompiledQuery.raw(task, db.dialect === 'sqlite' ? [...given, list] : [list, ...given]))
    await trx.executeQuery(CompiledQuery.raw(run, [list]))
  })

// One that is being stopped keeps that as its reason.
const sqliteList = '(SELECT value ->> 0 AS id, value ->> 1 AS number FROM json_each(?)) k'
const sqlite = {
  // The plus sign keeps SQLite from coming to the rows by their state, and not by their ids.
  task: `UPDATE bg_task SET host = ?, epoch = ?, updated_at = ?,
    reason = CASE WHEN bg_task.wanted = 'up' THEN ? || k.number || '}' ELSE bg_task.reason END
    FROM ${sqliteList} WHERE bg_task.id = k.id AND bg_task.number = k.number AND +bg_task.state = 'running'`,
  run: `UPDATE bg_run SET adopted = 1 FROM ${sqliteList} WHERE bg_run.task_id = k.id AND bg_run.number = k.number`,
}

const mysqlList = "JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', number BIGINT PATH '$[1]')) k"
const mysql = {
  // Joined from the list, so that each row is come to by its id, whatever the server believes of the table.
  task: `UPDATE ${mysqlList} STRAIGHT_JOIN bg_task t FORCE INDEX (PRIMARY) ON t.id = k.id
    SET t.host = ?, t.epoch = ?, t.updated_at = ?, t.reason = CASE WHEN t.wanted = 'up' THEN CONCAT(?, k.number, '}') ELSE t.reason END
    WHERE t.number = k.number AND t.state = 'running'`,
  run: `UPDATE ${mysqlList} STRAIGHT_JOIN bg_run r FORCE INDEX (PRIMARY) ON r.task_id = k.id AND r.number = k.number SET r.adopted = 1`,
}
