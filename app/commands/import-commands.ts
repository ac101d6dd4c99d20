import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { inPackage, moduleEnding } from '../paths.ts'
import { told } from '../task/told.ts'
import { WrongEntry } from './wrong-entry.ts'

const limitMs = 10_000

/**
 * What a commands file that is code exports, read in a process of its own: a file that leaves, hangs or crashes harms nobody.
 * @throws Error which says why it does not load
 */
export const importCommands = async (file: string): Promise<unknown> => {
  const { PATH, HOME, LANG, TZ } = process.env
  const child = spawn(
    process.execPath,
    [inPackage(moduleEnding === '.ts' ? 'app' : 'dist', 'commands', `describe-commands${moduleEnding}`), file],
    {
      env: { PATH, HOME, LANG, TZ },
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      timeout: limitMs,
      killSignal: 'SIGKILL',
    },
  )
  const said = text(child.stdio[3] as Readable)
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  const answer = await said
  if (answer === '')
    throw new WrongEntry(
      signal === 'SIGKILL'
        ? told`it does not end loading within ${limitMs / 1000} s`
        : told`it leaves the process (${signal ?? `code ${code}`}) while it is loaded`,
    )
  const { commands, error } = JSON.parse(answer) as { commands?: unknown; error?: string }
  if (error !== undefined) throw new Error(error)
  return commands
}
