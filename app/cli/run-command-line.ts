import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { harmless } from '../texts/control-characters.ts'

/**
 * Runs one command and ends the process with its exit code: 0 done, 1 failed, 2 usage, 75 busy, 78 misconfigured.
 * A mistake is told in a sentence or two on stderr; DEBUG=bgtask adds the stack.
 */
export const runCommandLine = async (args: readonly string[]): Promise<void> => {
  surviveClosedPipes()
  let code: number | null
  try {
    code = await run(args)
  } catch (error) {
    code = await tell(error)
  }
  // null: a server that has been started and goes on by itself.
  if (code !== null) await end(code)
}

const run = async (args: readonly string[]): Promise<number | null> => {
  // Actions always have a slash and commands never do.
  if (args[0]?.includes('/') && !args[0].startsWith('-')) return (await import('./run-action.ts')).runAction(args)
  return (await import('./program.ts')).runProgram(args)
}

const tell = async (error: unknown): Promise<number> => {
  if (wantsStacks() && error instanceof Error) console.error(error.stack, ...(error.cause ? ['\nbecause of', error.cause] : []))
  else if (error instanceof BgtaskError) console.error(harmless(error.message))
  else console.error(`Something failed that should not: ${harmless(messageOf(error))}. DEBUG=bgtask before the command shows where.`)
  return error instanceof BgtaskError ? error.exitCode : exitCodes.failed
}

const wantsStacks = () => (process.env.DEBUG ?? '').split(',').some(name => name.trim() === 'bgtask' || name.trim() === '*')

// `records | head -1` closes the pipe early: that is no failure, and nobody reads on.
const surviveClosedPipes = () => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failed))
  }
}

const end = async (code: number) => {
  await new Promise<void>(resolve => process.stdout.write('', () => resolve()))
  process.exit(code)
}
