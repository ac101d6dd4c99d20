import { messageOf } from '../errors.ts'
import { handedFiles, readHanded } from '../runs/handed-files.ts'
import { type RunEnd, sayOutcome, writeOutcome } from '../runs/outcome-file.ts'
import { readUsage } from '../runs/process-identity.ts'
import { runPaths } from '../runs/runtime-folder.ts'
import type { StopRequest } from '../runs/stop-file.ts'
import { readTicket, type Ticket } from '../runs/ticket.ts'
import type { Outcome } from '../task/outcome.ts'
import { beginRun, type CurrentRun } from './current-run.ts'
import { executeTicket, exitCodeOf, exitedOutcome, thrownOutcome } from './execute-ticket.ts'
import { trapProcess } from './trap-process.ts'

/*
 * The child's side of a supervised run: its folder holds the ticket, and gets the outcome before the process leaves. A run of another user than
 * the supervisor's cannot open the folder; it is handed the files in it.
 * What is imported here is paid by every run, so nothing is that a run can do without: no database, no schemas, no web.
 */
const runFolder = process.env.BGTASK_RUN_FOLDER ?? ''
const paths = runPaths(runFolder)
const handed = handedFiles()

const start = async () => {
  const ticket = handed ? (JSON.parse(readHanded(handed.ticket)) as Ticket) : readTicket(runFolder)
  if (!ticket) {
    // Loaded here alone: no run that is in order needs it.
    const { ourCommand } = await import('../paths.ts')
    return refuse(
      `The run folder ${runFolder || '(BGTASK_RUN_FOLDER is not set)'} holds no ticket.json that can be read. The supervisor writes it; by hand, run: ${ourCommand} <action> <id>`,
    )
  }
  const run = beginRun(ticket, {
    beatPath: handed?.beat ?? paths.beat,
    secretsPath: handed?.secrets ?? paths.secrets,
    artifactsPath: handed?.artifacts ?? paths.artifacts,
    databaseUrl: handed?.databaseUrl ? readHanded(handed.databaseUrl).trim() : null,
  })
  trapProcess(run, {
    stopAsked: async () => run.stop.ask((await whyStopped()) ?? 'interrupted'),
    thrown: (error, uncaught) => end(run, thrownOutcome(run, error, uncaught)),
    left: exitCode => leave(run, exitCode),
  })
  await end(run, await executeTicket(run, sayReady))
}

const whyStopped = async () => {
  if (!handed) return (await import('../runs/stop-file.ts')).readStopRequest(runFolder)?.why
  const asked = readHanded(handed.stop).trim()
  return asked ? (JSON.parse(asked) as StopRequest).why : undefined
}

/** The supervisor starts only so many runs at once; the closed descriptor tells it that this one is up. */
const sayReady = () => {
  const descriptor = process.env.BGTASK_READY_FD
  if (!descriptor) return
  delete process.env.BGTASK_READY_FD // what the action starts has no such descriptor
  process.getBuiltinModule('node:fs').closeSync(Number(descriptor))
}

/** How it ended, once that is known. */
let known: RunEnd | undefined
let written = false

const end = async (run: CurrentRun, outcome: Outcome) => {
  if (known) return
  known = toEnd(run, outcome)
  if (outcome.error) console.error(outcome.error.includes(outcome.content ?? '') ? outcome.error : `${outcome.content}\n${outcome.error}`)
  run.beats.flush()
  await writeAtLast(known)
  process.exit(exitCodeOf(outcome))
}

/** The process leaves before the outcome lies there, mostly because the action has not ended: the last moment to say so. */
const leave = (run: CurrentRun, exitCode: number) => {
  if (written) return
  run.beats.flush()
  write(known ?? toEnd(run, exitedOutcome(run, exitCode)))
}

const toEnd = (run: CurrentRun, outcome: Outcome): RunEnd => {
  const usage = readUsage(process.pid)
  return {
    ...outcome,
    exitCode: exitCodeOf(outcome),
    endedAt: Date.now(),
    iterations: run.beats.beat.iterations || null,
    peakMemoryBytes: usage?.peakMemoryBytes ?? null,
    cpuMs: cpuMs(),
  }
}

const cpuMs = () => {
  const { user, system } = process.cpuUsage()
  return Math.round((user + system) / 1000)
}

const write = (end: RunEnd): boolean => {
  try {
    if (handed) sayOutcome(handed.said, end)
    else writeOutcome(paths.outcome, end)
    written = true
  } catch (error) {
    console.error(`bgtask: ${handed ? 'how it ended' : paths.outcome} cannot be written (${messageOf(error)}).`)
  }
  return written
}

const outcomeTries = 30

/** On a full disk the outcome is worth a wait: without it the run counts as crashed and would be run again. */
const writeAtLast = async (end: RunEnd) => {
  for (let tries = 1; !write(end) && tries < outcomeTries; tries++) await new Promise(resolve => setTimeout(resolve, 1000))
}

const refuse = (sentence: string) => {
  console.error(sentence)
  process.exit(1)
}

await start()
