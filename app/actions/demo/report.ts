import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Context, defineAction, failure, success } from '../../index.ts'

/*
 * Several actions in one file, as the methods of a Logic class were: demo/report/hello-world and demo/report/tasks-by-state.
 */

/** The shortest there is: what a method of a Logic class did, with its message. */
export const helloWorld = ({ task }: Context) => success(`hello world${task.creator ? `, ${task.creator}` : ''}`)

export const tasksByState = defineAction({
  description: 'Writes a CSV file of how many tasks there are in each state.',
  params: {
    type: 'object',
    properties: { type: { type: 'string', title: 'Only tasks of this type' } },
    additionalProperties: false,
  },
  timeoutMs: 60_000,
  async execute({ params, run, task, db, artifact }) {
    const all = (await db())
      .selectFrom('bg_task')
      .select(({ fn }) => ['state', fn.countAll<number>().as('tasks')])
      .groupBy('state')
      .orderBy('state')
    const rows = await (params.type === undefined ? all : all.where('type', '=', params.type)).execute()
    if (rows.length === 0) return failure(`There is no task of type ${params.type}.`)
    artifact(
      await write(`tasks-by-state-${task.id}-${run.number}.csv`, [['state', 'tasks'], ...rows.map(row => [row.state, row.tasks])]),
      'tasks by state.csv',
    )
    return `${rows.length} states`
  },
})

const write = async (name: string, rows: (string | number)[][]): Promise<string> => {
  const folder = resolve(process.env.BGTASK_RUNTIME ?? 'runtime', 'exports')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, name)
  await writeFile(path, `\ufeff${rows.map(row => row.join(',')).join('\r\n')}\r\n`, { mode: 0o600 })
  return path
}
