import type { TestContext } from 'node:test'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { makeScene } from '../api/scene.ts'
import { json, run } from '../cli/run.ts'

/** A task that nobody runs, and the folder of its first run for a test to fill. */
export const withWritableTask = async (t: TestContext, params: object): Promise<{ env: NodeJS.ProcessEnv; id: number; folder: string }> => {
  const { env } = await makeScene(t)
  const { id } = json<{ id: number }>(await run(env, 'add', 'test/plain', JSON.stringify(params), '--json'))
  return { env, id, folder: runtimePaths(env.BGTASK_RUNTIME!).run(`${id}-1`).folder }
}
