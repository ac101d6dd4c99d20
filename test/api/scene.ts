import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Background, openBackground } from '../../app/api/background.ts'
import { type Config, loadConfig } from '../../app/config.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { sharedMariaDb } from '../helpers/mariadb.ts'
import { linkCompileCache } from '../helpers/shared-compile-cache.ts'

/** A folder with a runtime folder and actions of its own; gone after the test, and so is a loop that was started in it. */
export interface Scene {
  folder: string
  env: NodeJS.ProcessEnv
  config: Config
}

export const plainAction = "export const execute = async () => 'done'\n"

/** Checked by hand-written JSON schema, as typebox makes it. */
export const strictAction = `export const params = undefined
export default {
  params: { type: 'object', required: ['rows'], properties: { rows: { type: 'integer', minimum: 1 } }, additionalProperties: false },
  async execute() {},
}
`

export const makeScene = async (
  t: Pick<TestContext, 'after'>,
  {
    actions = { 'test/plain': plainAction },
    databaseUrl,
    untouched = false,
  }: {
    actions?: Record<string, string>
    databaseUrl?: string
    /** As before the first start: there is no runtime folder yet. */
    untouched?: boolean
  } = {},
): Promise<Scene> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-api-'))
  const runtime = join(folder, 'runtime')
  t.after(async () => {
    await endLoop(runtime)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  if (!untouched) {
    mkdirSync(runtime, { mode: 0o700 })
    linkCompileCache(runtime)
  }
  for (const [name, source] of Object.entries(actions)) {
    const path = join(folder, 'actions', `${name}.ts`)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, source)
  }
  const { PATH, HOME } = process.env
  const env = {
    PATH,
    HOME,
    BGTASK_RUNTIME: runtime,
    BGTASK_ACTIONS: join(folder, 'actions'),
    ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}),
  }
  return { folder, env, config: await loadConfig(env) }
}

export const openScene = async (
  t: Pick<TestContext, 'after'>,
  options: Parameters<typeof makeScene>[1] = {},
): Promise<Scene & { background: Background }> => {
  const scene = await makeScene(t, options)
  const background = await openBackground(scene.config)
  t.after(() => background.close())
  return { ...scene, background }
}

/** The same test on every database. */
export const databases: { name: string; url(): Promise<string | undefined> }[] = [
  { name: 'SQLite', url: async () => undefined },
  { name: 'MariaDB', url: async () => (await sharedMariaDb()).newDatabase() },
]

export const waitFor = async <Value>(what: string, look: () => Value | Promise<Value>, limitMs = 15_000): Promise<NonNullable<Value>> => {
  for (const end = performance.now() + limitMs; ; ) {
    const value = await look()
    if (value) return value
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

const endLoop = async (runtime: string) => {
  const supervisor = readSupervisor(runtime)
  if (supervisor) process.kill(supervisor.pid, 'SIGTERM')
  // A process that is just leaving writes its compile cache, and would make the folder anew.
  await waitFor('the end of all that runs there', () =>
    readdirSync('/proc').every(pid => !environmentOf(pid).includes(`BGTASK_RUNTIME=${runtime}\0`)),
  )
}

const environmentOf = (pid: string): string => {
  try {
    return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/environ`, 'latin1') : ''
  } catch {
    return '' // it has ended
  }
}
