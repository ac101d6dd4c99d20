import { defineAction, failure, success, type Verdict } from '../index.ts'

/** Runs a command of the commands file: what that file says at this moment, whatever the task's row says. */
export default defineAction({
  description: 'Runs a command of the commands file.',
  params: {
    type: 'object',
    properties: { name: { type: 'string', maxLength: 64 }, args: { type: 'object' } },
    required: ['name'],
    additionalProperties: false,
  },
  async execute({ params, task, run, signal }) {
    const [{ loadConfig }, { findCommand, valuesFor }, { loadCommands }, { argvOf }, { runCommand }] = await Promise.all([
      import('../config.ts'),
      import('../commands/find-command.ts'),
      import('../commands/load-commands.ts'),
      import('../commands/read-args.ts'),
      import('../commands/run-command.ts'),
    ])
    // Rows can be changed by whoever has the database; the file cannot. So nothing of the row is believed but a name and values.
    if (task.execType !== 'ONCE') throw misconfigured('A command ends, so it cannot be kept up as a loop.')
    const command = findCommand(await loadCommands(await loadConfig()), params.name)
    const argv = argvOf(command, valuesFor(command, params.args ?? {}))
    if (!command.rerunAfterCrash && (await isLeftover(run.number)))
      return failure(`The supervisor was stopped in the middle of run ${run.number - 1}. ${notAgain}`)
    console.log(`$ ${argv.map(argument => (/^[\w@%+=:,./-]+$/.test(argument) ? argument : JSON.stringify(argument))).join(' ')}`)
    if (signal.aborted) return undefined
    const folder = process.env.BGTASK_RUN_FOLDER
    const supervised = folder !== undefined
    const end = await runCommand(command, argv, { signal, supervised })
    if (end.why === 'limit') return failure(`It took longer than its limit of ${command.timeoutMs} ms (timeoutMs) and was ended.`)
    if (end.why === 'output') return failure(`It printed more than its limit of ${command.outputBytes} bytes (outputBytes) and was ended.`)
    // What had finished its work is done, also when it was asked to stop meanwhile.
    if (end.exitCode === 0) return success('exit code 0')
    if (!signal.aborted) return ended(end)
    if (folder !== undefined && !command.rerunAfterCrash && (await wasInterrupted(folder)))
      return failure(`The supervisor was stopped in the middle of it, and it ended with ${endOf(end)}. ${notAgain}`)
    // Says nothing: the run counts as stopped, for the reason that the one who asked has.
    return undefined
  },
})

type End = { exitCode: number | null; signal: string | null }
const endOf = ({ exitCode, signal }: End): string => (signal === null ? `exit code ${exitCode}` : `signal ${signal}`)
const ended = (end: End): Verdict => failure(endOf(end))

const notAgain =
  'It is not run again by itself, since its entry does not say rerunAfterCrash: true. Look what it has done, then send it once more.'

/** Stopped by a restart or a shutdown, which lets tasks run again; a command may not bear that. */
const wasInterrupted = async (folder: string): Promise<boolean> =>
  (await import('../runs/stop-file.ts')).readStopRequest(folder)?.why === 'interrupted'

/** The run before this one was ended by force in the middle, so it could not say itself that there shall be no other. */
const isLeftover = async (number: number): Promise<boolean> => {
  const folder = process.env.BGTASK_RUN_FOLDER
  if (folder === undefined || number < 2) return false
  const [{ readOutcome }, { readOutput }, { runPaths }] = await Promise.all([
    import('../runs/outcome-file.ts'),
    import('../runs/read-output.ts'),
    import('../runs/runtime-folder.ts'),
  ])
  const before = folder.replace(/-\d+$/, `-${number - 1}`)
  return readOutcome(runPaths(before).outcome)?.kind === 'interrupted' && readOutput(before, { maxBytes: 65_536 }).text !== ''
}

/** sysexits.h EX_CONFIG: a restart will not help. */
const misconfigured = (sentence: string) => Object.assign(new Error(sentence), { exitCode: 78 })
