/** One wording of tables for both dialects. All of it may be repeated: what is there already stays as it is. */
export interface Ddl {
  /** Statements that make a table and its indexes. */
  table(table: Table): string[]
  /** Statements that add columns and indexes to a table that is there. Columns are null or have a default: there may be rows. */
  more(table: Pick<Table, 'name' | 'columns' | 'indexes'>): string[]
  /** A statement that adds rows of one number each, as far as they are missing. */
  rows(table: string, column: string, values: readonly number[]): string[]
}

export interface Table {
  name: string
  /** `id` numbers itself. Kinds: id, bigint, int, flag, text(n), medium, long, binary16; then `null` or `default x` where wanted. */
  columns: Record<string, string>
  primaryKey?: readonly string[]
  indexes?: Record<string, Index>
}

export interface Index {
  /** The primary key follows by itself on both databases. */
  columns: readonly string[]
  unique?: boolean
  /** SQLite leaves other rows out; MySQL cannot and indexes all. */
  where?: string
}

/** @param collation compares bytes, so that 'a', 'A', 'ä' and 'a ' are four names on every database */
export const mysqlDdl = (collation: string): Ddl => ({
  table({ name, columns, primaryKey, indexes = {} }) {
    const lines = [
      ...Object.entries(columns).map(([column, kind]) => `${quoted(column)} ${columnType(kind, mysqlTypes)}`),
      ...(primaryKey ? [`PRIMARY KEY (${primaryKey.map(quoted).join(', ')})`] : []),
      ...Object.entries(indexes).map(
        ([index, { columns, unique }]) => `${unique ? 'UNIQUE KEY' : 'KEY'} ${index} (${columns.map(quoted).join(', ')})`,
      ),
    ]
    return [`CREATE TABLE IF NOT EXISTS ${name} (\n  ${lines.join(',\n  ')}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=${collation}`]
  },
  // Both servers say "duplicate" of what is there already, which migrate.ts takes for done; MySQL knows no IF NOT EXISTS here.
  more: ({ name, columns, indexes = {} }) => [
    ...Object.entries(columns).map(([column, kind]) => `ALTER TABLE ${name} ADD COLUMN ${quoted(column)} ${columnType(kind, mysqlTypes)}`),
    ...Object.entries(indexes).map(
      ([index, { columns, unique }]) => `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${index} ON ${name} (${columns.map(quoted).join(', ')})`,
    ),
  ],
  rows: (table, column, values) => [`INSERT IGNORE INTO ${table} (${quoted(column)}) VALUES ${listed(values)}`],
})

export const sqliteDdl: Ddl = {
  table({ name, columns, primaryKey, indexes = {} }) {
    const lines = [
      ...Object.entries(columns).map(([column, kind]) => `${quoted(column)} ${columnType(kind, sqliteTypes)}`),
      ...(primaryKey ? [`PRIMARY KEY (${primaryKey.map(quoted).join(', ')})`] : []),
    ]
    return [
      `CREATE TABLE IF NOT EXISTS ${name} (\n  ${lines.join(',\n  ')}\n) STRICT${primaryKey ? ', WITHOUT ROWID' : ''}`,
      ...sqliteIndexes(name, indexes),
    ]
  },
  // In the transaction of the migration, so these are never met half done.
  more: ({ name, columns, indexes = {} }) => [
    ...Object.entries(columns).map(([column, kind]) => `ALTER TABLE ${name} ADD COLUMN ${quoted(column)} ${columnType(kind, sqliteTypes)}`),
    ...sqliteIndexes(name, indexes),
  ],
  rows: (table, column, values) => [`INSERT OR IGNORE INTO ${table} (${quoted(column)}) VALUES ${listed(values)}`],
}

const sqliteIndexes = (table: string, indexes: Record<string, Index>): string[] =>
  Object.entries(indexes).map(
    ([index, { columns, unique, where }]) =>
      `CREATE ${unique ? 'UNIQUE ' : ''}INDEX IF NOT EXISTS ${index} ON ${table} (${columns.map(quoted).join(', ')})` +
      (where ? ` WHERE ${where}` : ''),
  )

// Both databases take this quote, and some names are words of their languages.
const quoted = (name: string) => `\`${name}\``

const listed = (values: readonly number[]) => values.map(value => `(${value})`).join(', ')

const mysqlTypes: Record<string, string> = {
  id: 'BIGINT AUTO_INCREMENT PRIMARY KEY',
  bigint: 'BIGINT',
  int: 'INT',
  flag: 'TINYINT',
  text: 'VARCHAR',
  medium: 'MEDIUMTEXT',
  long: 'LONGTEXT',
  binary16: 'BINARY(16)',
}
const sqliteTypes: Record<string, string> = {
  id: 'INTEGER PRIMARY KEY AUTOINCREMENT', // never given twice: run folders are named by it
  bigint: 'INTEGER',
  int: 'INTEGER',
  flag: 'INTEGER',
  text: 'TEXT',
  medium: 'TEXT',
  long: 'TEXT',
  binary16: 'BLOB',
}

const columnType = (kind: string, types: Record<string, string>): string => {
  const [, word, length, rest] = /^(\w+)(\(\d+\))?\s*(.*)$/.exec(kind)!
  const type = types[word!]
  if (!type) throw new Error(`${word} is no kind of column.`)
  const sized = type === 'VARCHAR' ? `${type}${length}` : type
  if (word === 'id') return sized
  return rest === 'null' ? `${sized} NULL` : `${sized} NOT NULL ${rest}`.trim()
}
