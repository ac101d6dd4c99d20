import { type Context, defineAction } from '../../index.ts'

/*
 * Small work that comes often, which is what a resident runner is for: a controller adds a task for each page that was viewed, and answers at once.
 * One process counts them all, twenty at a time, with one connection: what `db()` and `ready` cost is paid by the first.
 */
type DemoTables = {
  demo_page_view: { task: number; page: string; viewed_at: number }
}

export default defineAction({
  description: 'Counts the view of a page in the table demo_page_view: an example for a resident runner.',
  params: {
    type: 'object',
    properties: { page: { type: 'string', title: 'Page', minLength: 1, maxLength: 200 } },
    required: ['page'],
    additionalProperties: false,
  },
  execType: 'ONCE',
  isolation: 'resident',
  concurrency: 20,
  maxTasks: 10_000,
  async execute({ params: { page }, task, db, fence }) {
    const database = await db()
    ready ??= makeTable(database)
    await ready
    await database.transaction().execute(async trx => {
      await fence(trx)
      const own = trx.withTables<DemoTables>()
      // A run that died after its commit is run again: the task's id, which stays the same, keeps its view from being counted twice.
      const counted = await own.selectFrom('demo_page_view').select('task').where('task', '=', task.id).executeTakeFirst()
      if (!counted) await own.insertInto('demo_page_view').values({ task: task.id, page, viewed_at: Date.now() }).execute()
    })
  },
})

/** Outlives the task: the next one in this process finds the table made. */
let ready: Promise<void> | undefined

const makeTable = (database: Pick<Awaited<ReturnType<Context['db']>>, 'schema'>): Promise<void> =>
  database.schema
    .createTable('demo_page_view')
    .ifNotExists()
    .addColumn('task', 'bigint', column => column.primaryKey())
    .addColumn('page', 'varchar(200)', column => column.notNull())
    .addColumn('viewed_at', 'bigint', column => column.notNull())
    .execute()
    .catch((error: unknown) => {
      ready = undefined // the next task tries again
      throw error
    })
