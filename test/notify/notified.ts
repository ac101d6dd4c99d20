import type { TestContext } from 'node:test'
import { listTasks } from '../../app/store/list-tasks.ts'
import { makeScene, until } from '../helpers/scene.ts'

/** A scene of which somebody hears. @param env at least by which channel */
export const notified = async (t: TestContext, databaseUrl: string, env: Record<string, string>) => {
  const scene = await makeScene(t, {
    databaseUrl,
    env: {
      BGTASK_NOTIFY_GATHER: '1',
      BGTASK_PUBLIC_URL: 'https://panel.example.com',
      ...env,
    },
  })
  const { db } = scene.background
  const incidents = () => db.kysely.selectFrom('bg_incident').selectAll().orderBy('id').execute()
  const tellers = async () => (await listTasks(db, { action: 'core/notify' }, { limit: 100 })).tasks
  /** Whatever was to be told is told, and nobody is about to tell anything. */
  const calm = () =>
    until(
      'all is told',
      async () => {
        const pending = await db.kysely.selectFrom('bg_notice').select('id').where('pending', '=', 1).execute()
        return pending.length === 0 && (await tellers()).every(task => task.state === 'succeeded')
      },
      30_000,
      async () => JSON.stringify((await tellers()).map(({ id, state, content, reason }) => ({ id, state, content, reason }))),
    )
  return { ...scene, db, incidents, tellers, calm }
}
