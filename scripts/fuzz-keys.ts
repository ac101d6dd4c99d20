import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openDatabase } from '../app/store/database.ts'
import { migrate } from '../app/store/migrate.ts'
import { fuzzKeys } from '../test/helpers/fuzz-keys.ts'
import { startMariaDb } from '../test/helpers/mariadb.ts'

/*
 * node scripts/fuzz-keys.ts [--operations 100000] [--processes 8] [--keys 20] [--seed 1] [--database sqlite|mariadb]
 *
 * Several processes add tasks with a few unique keys in all four ways, cancel, retry, move, claim and end them, all at once. Then what each
 * was answered is held against the tables. Ends with 1 when anything is wrong; the seed that is printed does the same again.
 */

const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: '100000' },
    processes: { type: 'string', default: '8' },
    keys: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    database: { type: 'string', multiple: true, default: ['sqlite', 'mariadb'] },
  },
})
const options = {
  operations: Number(values.operations),
  processes: Number(values.processes),
  keys: Number(values.keys),
  seed: Number(values.seed),
}
console.log(
  `seed ${options.seed}, ${options.operations} operations, ${options.processes} processes, ${options.keys} keys, ${availableParallelism()} cores`,
)

const fuzz = async (database: string, url: string) => {
  const db = await openDatabase(url, { statementTimeoutMs: 60_000 })
  try {
    await migrate(db)
    let next = 5_000
    const { wrong, figures } = await fuzzKeys(db, {
      ...options,
      told: done => {
        if (done < next) return
        console.log(`${database}: ${done} operations`)
        next += Math.max(5_000, options.operations / 10)
      },
    })
    console.log(
      `${database}: ${Object.entries(figures)
        .map(([name, n]) => `${name} ${n}`)
        .join(', ')}`,
    )
    console.log(wrong.length === 0 ? `${database}: no key held twice, nothing lost` : `${database}: WRONG\n  ${wrong.join('\n  ')}`)
    if (wrong.length > 0) process.exitCode = 1
  } finally {
    await db.close()
  }
}

for (const database of values.database) {
  if (database === 'mariadb') {
    const server = await startMariaDb()
    await fuzz(database, server.url).finally(() => server.stop())
  } else {
    const folder = mkdtempSync(join(tmpdir(), 'bgtask-fuzz-keys-'))
    await fuzz(database, `sqlite:${join(folder, 'fuzz.sqlite')}`).finally(() => rmSync(folder, { recursive: true, force: true }))
  }
}
