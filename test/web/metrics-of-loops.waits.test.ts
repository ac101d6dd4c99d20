import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { EXEC_TYPE_FOREVER } from '../../app/task/task.ts'
import { buildServer } from '../../app/web/server.ts'
import { parseMetrics } from '../helpers/parse-metrics.ts'
import { makeScene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

// Both wait for the end of the same minute.
describe('when a loop last did what it should', { concurrency: true }, () => {
  for (const { name, skip, newUrl } of dialects) {
    test(`is told while it does, and still after it and its supervisor have died: ${name}`, { skip, timeout: 180_000 }, async t => {
      const scene = await makeScene(t, { databaseUrl: await newUrl(), env: { BGTASK_METRICS: 'open' } })
      const app = await buildServer(scene.config, { background: scene.background })
      t.after(() => app.close())
      const lastOf = async (id: number) => {
        const { body } = await app.inject({ url: '/metrics', headers: { host: `127.0.0.1:${scene.config.port}` } })
        const { samples = [] } = parseMetrics(body).get('bgtask_loop_last_success_timestamp_seconds') ?? {}
        return samples.find(({ labels }) => labels.task === String(id))?.value
      }
      const broken = join(scene.runtime, 'broken')
      const first = await scene.supervise()
      const add = async (action: string, params: object) => (await scene.background.addTask(action, params, EXEC_TYPE_FOREVER)).id
      const loop = await add('test/trips-while', { file: broken })
      const never = await add('test/exits-78', {})
      await scene.untilState(loop, 'running')
      await scene.untilState(never, 'tripped')
      const early = await until('it is told', () => lastOf(loop))
      const later = await until('it goes on', async () => {
        const last = await lastOf(loop)
        return last !== undefined && last > early && last
      })
      assert.equal(await lastOf(never), undefined, 'what never was is not told')

      const written = () =>
        scene.background.db.kysely.selectFrom('bg_loop_success').select('at').where('task_id', '=', loop).executeTakeFirst()
      // The end of a minute that was over before is told first.
      const { at } = await until(
        'the minute is over',
        async () => {
          const found = await written()
          return found && Number(found.at) >= later * 1_000 && found
        },
        90_000,
      )
      writeFileSync(broken, '')
      const { pid } = await until('its process', () => scene.marked().find(({ mark }) => mark.includes(`/${loop}-1/`)))
      await first.kill()
      process.kill(pid, 'SIGKILL')
      await scene.supervise()
      await scene.untilState(loop, 'tripped')
      const kept = await lastOf(loop)
      assert.ok(kept !== undefined && kept * 1_000 >= Number(at) && kept * 1_000 <= Date.now(), String(kept))
    })
  }
})
