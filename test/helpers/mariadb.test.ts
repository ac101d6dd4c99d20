import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import test, { describe } from 'node:test'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { sharedMariaDb, startMariaDb } from './mariadb.ts'
import { mariadbMissing } from './tools.ts'

describe('a MariaDB for tests', { skip: mariadbMissing() }, () => {
  test('keeps what was committed when it is killed, and can be paused, made read-only and ended', async () => {
    const server = await startMariaDb()
    try {
      await ask(server.url, 'CREATE TABLE kept (n INT)')
      await ask(server.url, 'INSERT INTO kept VALUES (1)')
      await server.kill()
      await assert.rejects(ask(server.url, 'SELECT 1'), { code: 'ECONNREFUSED' })
      await server.restart()
      assert.deepEqual(await ask(server.url, 'SELECT n FROM kept'), [{ n: 1 }])

      await server.setReadOnly(true)
      await assert.rejects(ask(server.url, 'INSERT INTO kept VALUES (2)'), /read-only/)
      await server.setReadOnly(false)
      await ask(server.url, 'INSERT INTO kept VALUES (2)')

      await server.pause()
      await assert.rejects(ask(server.url, 'SELECT 1'), { code: 'ETIMEDOUT' })
      server.resume()
      assert.deepEqual(await ask(server.url, 'SELECT @@innodb_flush_log_at_trx_commit AS flush'), [{ flush: 1 }])
    } finally {
      const { pid } = server
      await server.stop()
      assert.ok(!existsSync(`/proc/${pid}`))
    }
  })

  test('gives everybody an empty database of their own', async () => {
    const server = await sharedMariaDb()
    const [first, second] = [await server.newDatabase(), await server.newDatabase()]
    await ask(first, 'CREATE TABLE mine (n INT)')
    assert.deepEqual(await ask(second, 'SHOW TABLES'), [])
  })
})

async function ask(uri: string, sql: string): Promise<RowDataPacket[]> {
  const connection = await createConnection({ uri, connectTimeout: 1000 })
  try {
    const [rows] = await connection.query<RowDataPacket[]>(sql)
    return rows
  } finally {
    connection.destroy()
  }
}
