import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Background, openBackground } from '../../../app/api/background.ts'
import { makeToken } from '../../../app/api/tokens.ts'
import { loadConfig } from '../../../app/config.ts'
import { until } from '../../helpers/scene.ts'
import { linkCompileCache } from '../../helpers/shared-compile-cache.ts'
import { shareDescriptions } from '../../helpers/shared-descriptions.ts'

const root = join(import.meta.dirname, '..', '..', '..')

/** A panel in a process of its own, to be killed and started again over the same rows; gone when the test is over. */
export interface Serving {
  runtime: string
  /** Of its process, so that the command line can be asked about the same. */
  env: Record<string, string>
  background: Background
  port: number
  url: string
  said(): string
  token(scopes: readonly string[], name?: string): Promise<string>
  /** @param env of this life only */
  start(env?: Record<string, string>): Promise<void>
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** SIGTERM, and waits; gives its exit code. */
  stop(): Promise<number | null>
  /** Waits until it has died by itself. */
  died(): Promise<void>
}

/** A module that ends the process by SIGKILL the moment it would send the head of its `n`th answer to a POST: what was done is stored by then. */
export const dieBeforeAnswer = (n: number): Record<string, string> => ({
  NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(dying(n))}`,
})

const dying = (n: number) => `
import { ServerResponse } from 'node:http'
const { writeHead } = ServerResponse.prototype
let left = ${n}
ServerResponse.prototype.writeHead = function (...given) {
  if (this.req.method === 'POST' && --left === 0) process.kill(process.pid, 'SIGKILL')
  return writeHead.apply(this, given)
}
`

export const openServing = async (t: TestContext, env: Record<string, string> = {}): Promise<Serving> => {
  const runtime = mkdtempSync(join(tmpdir(), 'bgtask-serving-'))
  linkCompileCache(runtime)
  shareDescriptions(runtime)
  const all = {
    PATH: process.env.PATH!,
    HOME: process.env.HOME ?? '/',
    BGTASK_RUNTIME: runtime,
    BGTASK_ACTIONS: join(root, 'test', 'fixtures', 'actions'),
    BGTASK_AUTOSTART: 'off',
    PORT: '0',
    ...env,
  }
  const background = await openBackground(await loadConfig(all))
  let child: ChildProcess | undefined
  let output = ''
  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  t.after(async () => {
    await kill()
    await background.close()
    rmSync(runtime, { recursive: true, force: true, maxRetries: 5 })
  })
  const serving: Serving = {
    runtime,
    env: all,
    background,
    port: 0,
    url: '',
    said: () => output,
    token: async (scopes, name = 'of the test') =>
      (await makeToken(background.db, { name: 'admin', ip: null, via: 'form' }, { name, scopes })).text,
    start: async (more = {}) => {
      output = ''
      const started = spawn(process.execPath, [join(root, 'index.js'), 'serve'], {
        env: { ...all, ...(serving.port ? { PORT: String(serving.port) } : {}), ...more },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      for (const stream of [started.stdout!, started.stderr!]) stream.on('data', piece => (output += String(piece)))
      await until(
        'the panel says where it is',
        () => {
          const found = /bgtask is at (http:\/\/[^/]+:(\d+))\/admin/.exec(output)
          if (found) Object.assign(serving, { url: found[1], port: Number(found[2]) })
          if (started.exitCode !== null) throw new Error(`serve left with ${started.exitCode}: ${output}`)
          return found
        },
        30_000,
        () => output,
      )
    },
    kill,
    stop: async () => {
      const ended = once(child!, 'exit')
      child!.kill('SIGTERM')
      return (await ended)[0] as number | null
    },
    died: async () => {
      if (child!.exitCode === null && child!.signalCode === null) await once(child!, 'exit')
    },
  }
  return serving
}
