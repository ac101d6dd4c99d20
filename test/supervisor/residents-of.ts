import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ring } from '../../app/runs/doorbell.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { cancelTask } from '../../app/store/wishes.ts'
import { type Scene, until } from '../helpers/scene.ts'

/** What tests of resident runners ask of a scene, with the actions of test/fixtures/actions/test/resident.ts. @param sceneNow asked at each call */
export const residentsOf = (sceneNow: () => Scene) => {
  const add = async (action: string, params: object = {}, options: object = {}) =>
    (await sceneNow().background.addTask(`test/resident/${action}`, params as never, options)).id
  const addMany = async (action: string, many: readonly object[]) =>
    (await sceneNow().background.addTasks(many.map(params => ({ action: `test/resident/${action}`, params: params as never })))).map(
      ({ id }) => id,
    )
  const ended = (id: number) => sceneNow().untilState(id, ['succeeded', 'failed', 'cancelled'], 30_000)
  const lastRun = async (id: number) => (await sceneNow().runs(id))[0]!
  const outputOf = (id: number, number = 1) => {
    const path = join(sceneNow().runtime, 'runs', `${id}-${number}`, 'output.log')
    return existsSync(path) ? readFileSync(path, 'utf8') : null
  }
  const residents = () => readSupervisor(sceneNow().runtime)?.residents ?? []
  /** All that residents were handed and is not yet forgotten. */
  const handedOver = () => {
    const folder = join(sceneNow().runtime, 'residents')
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => /handed-\d+\.ndjson$/.test(name))
    return files.map(name => readFileSync(join(folder, name), 'utf8')).join('')
  }
  const begun = (id: number) => until(`task ${id} has begun`, () => witnessed().some(line => line.startsWith(`begin ${id} `)))
  const witness = () => join(sceneNow().runtime, 'resident-witness')
  const witnessed = () => (existsSync(witness()) ? readFileSync(witness(), 'utf8').split('\n') : [])
  const cancel = async (id: number) => {
    await cancelTask(sceneNow().background.db, id, 'test', Date.now())
    ring(sceneNow().runtime)
  }
  const pidOf = async (id: number) => {
    await begun(id)
    return Number(
      witnessed()
        .find(line => line.startsWith(`begin ${id} `))!
        .split(' ')[3],
    )
  }
  return { add, addMany, begun, cancel, ended, handedOver, lastRun, outputOf, pidOf, residents, witness, witnessed }
}
