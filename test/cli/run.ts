import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { launcher } from '../../app/paths.ts'
import { sharedCompileCache } from '../helpers/shared-compile-cache.ts'

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** `node index.js …` as somebody types it. */
export const begin = (env: NodeJS.ProcessEnv, ...args: string[]): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, [launcher, ...args], { env: { ...sharedCompileCache(), ...env } })

export const end = async (child: ChildProcessWithoutNullStreams): Promise<Ended> => {
  const code = new Promise<number | null>(resolve => child.once('close', resolve))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, stdout, stderr }
}

export const run = (env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ended> => {
  const child = begin(env, ...args)
  child.stdin.end()
  return end(child)
}

export const runWithInput = (env: NodeJS.ProcessEnv, input: string, ...args: string[]): Promise<Ended> => {
  const child = begin(env, ...args)
  child.stdin.end(input)
  return end(child)
}

export const json = <Value>({ stdout }: Ended): Value => JSON.parse(stdout) as Value
