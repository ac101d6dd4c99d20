import { createHash } from 'node:crypto'
import type { ListeningPanel } from './listening-panel.ts'

/** Columns that tell of a look and not of a change. */
const looks = new Set(['seen_at', 'last_used_at', 'last_used_ip'])

/**
 * What a panel's rows are, again and again: all but those of visitors without a name. A matrix asks for it twice for each of thousands of
 * requests, so that a table is read anew only when it was written to since: triggers count that, also for what other processes write.
 */
export const watchRows = (sql: ListeningPanel['sql']): (() => unknown[]) => {
  const tables = sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'bg!_%' ESCAPE '!' ORDER BY name").map(({ name }) =>
    String(name),
  )
  sql('CREATE TABLE IF NOT EXISTS test_written (name TEXT PRIMARY KEY, times INTEGER NOT NULL)')
  for (const table of tables) {
    sql('INSERT OR IGNORE INTO test_written VALUES (?, 0)', table)
    for (const act of ['INSERT', 'UPDATE', 'DELETE'])
      sql(
        `CREATE TRIGGER IF NOT EXISTS test_${act}_${table} AFTER ${act} ON ${table} BEGIN UPDATE test_written SET times = times + 1 WHERE name = '${table}'; END`,
      )
  }
  const known = new Map<string, { times: unknown; rows: unknown[] }>()
  return () => {
    const written = new Map(sql('SELECT name, times FROM test_written').map(({ name, times }) => [name, times]))
    return tables.map(table => {
      if (table === 'bg_session')
        return [
          table,
          sql('SELECT id_hash, user_id FROM bg_session WHERE user_id IS NOT NULL AND expires_at > ? ORDER BY id_hash', Date.now()),
        ]
      const times = written.get(table)
      const last = known.get(table)
      if (last?.times === times) return last!.rows
      const all = sql(`SELECT * FROM ${table}`).map(row => Object.entries(row).filter(([name]) => !looks.has(name)))
      const rows = [table, createHash('sha256').update(JSON.stringify(all)).digest('hex'), all.length]
      known.set(table, { times, rows })
      return rows
    })
  }
}
