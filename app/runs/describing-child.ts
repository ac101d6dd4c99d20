import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Config } from '../config.ts'
import { markVariable } from './process-identity.ts'
import { runEnvironment } from './run-environment.ts'
import { sendSignal } from './send-signal.ts'

/** What such a child needs of the configuration. */
export type DescribingConfig = Pick<Config, 'actions' | 'runtime'> & Partial<Pick<Config, 'childEnv' | 'modules'>>

/** How it ended. */
export interface DescribingEnd {
  code: number | null
  signal: string | null
  /** It was ended, since nothing came for too long. */
  tookTooLong: boolean
}

/**
 * Loads code of the user's in a process of its own, which says what it has found a line at a time on descriptor 3. Whatever that code starts is
 * ended with it, and it is ended with us.
 * @param args.program the file that the child runs
 * @param args.limitMs the longest time between two lines
 */
export const readDescribingChild = async (
  config: DescribingConfig,
  { program, given, limitMs, onLine }: { program: string; given: readonly string[]; limitMs: number; onLine: (line: string) => void },
): Promise<DescribingEnd> => {
  const child = spawn(process.execPath, [program, ...given], {
    env: environmentOf(config),
    detached: true, // a group of its own, to be ended with all that the files start
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  const endWithUs = () => endGroup(child.pid)
  process.once('exit', endWithUs)
  let tookTooLong = false
  const watch = setTimeout(() => {
    tookTooLong = true
    endGroup(child.pid)
  }, limitMs + startMs)
  const lines = createInterface({ input: child.stdio[3] as Readable })
  const closed = once(lines, 'close')
  lines.on('line', line => {
    onLine(line)
    watch.refresh()
  })
  const [code, signal] = await exit
  clearTimeout(watch)
  endGroup(child.pid)
  process.off('exit', endWithUs)
  await closed
  return { code, signal, tookTooLong }
}

/** The process itself may need so long to start on a busy machine; what it loads must not pay for that. */
const startMs = 2_000

const environmentOf = (config: DescribingConfig): NodeJS.ProcessEnv => {
  const { [markVariable]: _, ...environment } = runEnvironment({ childEnv: [], ...config }, { mark: '' })
  // Node would try for ever to make it below a folder that cannot be made.
  return existsSync(config.runtime) ? { ...environment, NODE_COMPILE_CACHE: join(config.runtime, 'compile-cache') } : environment
}

const endGroup = (pid: number | undefined) => {
  if (pid !== undefined) sendSignal(-pid, 'SIGKILL')
}
