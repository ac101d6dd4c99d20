import { join } from 'node:path'
import type { Background } from '../api/background.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { inWorkFolder } from '../paths.ts'
import { readDatabaseUrl } from '../runs/database-url-file.ts'
import type { Db } from '../store/database.ts'
import type { CurrentRun } from './current-run.ts'

/** The run's own connection for `ctx.db()`. */
export const openRunDatabase = (run: CurrentRun): Promise<Db> => {
  opened ??= (async () => (await import('../store/database.ts')).openDatabase(databaseUrl(run)))()
  opened.catch(() => (opened = undefined)) // a later call tries again
  return opened
}

/** What `ctx.addTask`, and `addTask` called within an action, work with. */
export const openRunBackground = (run: CurrentRun): Promise<Background> => {
  background ??= (async () => {
    const [{ openBackground }, { loadConfig }] = await Promise.all([import('../api/background.ts'), import('../config.ts')])
    return openBackground({ ...(await loadConfig()), databaseUrl: databaseUrl(run) }, { migrate: false })
  })()
  background.catch(() => (background = undefined))
  return background
}

/** @throws BgtaskError `conflict` when the task's row names a newer run than this one, or is gone */
export const fence = async (run: CurrentRun, trx: Db['kysely']): Promise<void> => {
  const { taskId, number } = run.ticket
  const select = trx.selectFrom('bg_task').select('number').where('id', '=', taskId)
  // SQLite knows no FOR UPDATE and needs none: its transactions that write come one after the other.
  const row = await (databaseUrl(run).startsWith('sqlite:') ? select : select.forUpdate()).executeTakeFirst()
  if (row && Number(row.number) === number) return
  const now = row ? `run ${row.number} has begun since` : 'the task is gone'
  throw new BgtaskError('conflict', `Run ${number} of task ${taskId} may not write any more: ${now}. End this run without writing.`)
}

let opened: Promise<Db> | undefined
let background: Promise<Background> | undefined

const databaseUrl = (run: CurrentRun): string => {
  if (run.databaseUrl !== null) return run.databaseUrl
  const user = run.ticket.bounds?.user
  if (user) {
    throw new BgtaskError(
      'misconfigured',
      `This action runs as ${user.asked} and is not handed the database. If it shall be, let it say database: true.`,
    )
  }
  const runtime = inWorkFolder(process.env.BGTASK_RUNTIME || 'runtime')
  try {
    return readDatabaseUrl(runtime)
  } catch (error) {
    throw new BgtaskError(
      'misconfigured',
      `The database address is not in ${join(runtime, 'database-url')} (${messageOf(error)}). The supervisor writes it when it starts: restart it.`,
      { cause: error },
    )
  }
}
