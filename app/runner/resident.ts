import { AsyncLocalStorage } from 'node:async_hooks'
import { messageOf } from '../errors.ts'
import { LineFollower } from '../runs/line-follower.ts'
import { makeFolder } from '../runs/make-folder.ts'
import { type RunEnd, writeOutcome } from '../runs/outcome-file.ts'
import { identify } from '../runs/process-identity.ts'
import { endedLine, type HandedTask, parseHanded, readResidentTicket, residentPaths } from '../runs/resident-files.ts'
import { runPaths, runtimePaths } from '../runs/runtime-folder.ts'
import type { Ticket } from '../runs/ticket.ts'
import { writeTicket } from '../runs/ticket.ts'
import { writeJson } from '../runs/write-file.ts'
import type { EndFacts } from '../task/end-facts.ts'
import type { Outcome } from '../task/outcome.ts'
import { runName } from '../task/run.ts'
import type { Json } from '../task/task.ts'
import { type CurrentRun, findRunBy, makeRun } from './current-run.ts'
import { callAction, type Execute, exitCodeOf, exitedOutcome, loadAction, thrownOutcome } from './execute-ticket.ts'
import type { StopWord } from './stop.ts'
import { createTaskOutput, divertOutput, type TaskOutput } from './task-output.ts'

/*
 * A resident runner: one process that is handed the tasks of one action, one after another or several at once. runs/resident-files.ts tells how it
 * and the supervisor talk to each other.
 */
const { closeSync, existsSync, openSync, writeSync } = process.getBuiltinModule('node:fs')

const folder = process.env.BGTASK_RESIDENT_FOLDER ?? ''
delete process.env.BGTASK_RESIDENT_FOLDER // what the action starts is no resident
const paths = residentPaths(folder)
const ticket = readResidentTicket(folder)
if (!ticket) {
  console.error(`The folder ${folder} holds no resident.json that can be read. The supervisor writes it.`)
  process.exit(1)
}
const runtime = process.env.BGTASK_RUNTIME!
const identity = identify(process.pid)!

interface Held {
  name: string
  task: HandedTask
  /** 0: not begun. */
  beganAt: number
  run: CurrentRun
  output: TaskOutput
  hasFolder: boolean
}

const tasks = new AsyncLocalStorage<Held>()
const begun = new Map<string, Held>()
const waiting: { name: string; task: HandedTask; params: Json }[] = []
let execute: Execute
/** No more is begun; when the rest has ended, the process leaves. */
let leaving: string | null = null
/** After this the event loop gets its turn, or nobody's wish would be heard in a row of tasks that await nothing. */
const turnMs = 5
let turnBeganAt = 0
let pumping = false

// ---- what we say

let toldNumber = 1
let told = openSync(paths.told(toldNumber), 'a', 0o600)
let unsaid = ''
const say = (line: string) => {
  unsaid += line
}
const sayNow = () => {
  if (unsaid === '') return
  const text = unsaid
  unsaid = ''
  try {
    writeSync(told, text)
  } catch (error) {
    // On a full disk what ended is worth a wait: without it the run counts as crashed and would be run again.
    unsaid = text + unsaid
    console.error(`bgtask: ${paths.told(toldNumber)} cannot be written (${messageOf(error)})`)
    setTimeout(sayNow, 1_000)
  }
}

// ---- what we are told

let handedNumber = 1
let handed = new LineFollower(paths.handed(handedNumber))
const listen = () => {
  for (const line of handed.read()) {
    const wish = parseHanded(line)
    // Cut off by the supervisor's death: the next one has seen it too, and nobody counts on it.
    if (wish === null) continue
    if ('task' in wish) waiting.push({ name: runName(wish.task.id, wish.task.number), task: wish.task, params: wish.params })
    else if ('stop' in wish) stop(wish.stop, wish.why)
    else if ('leave' in wish) leave(wish.leave)
    else if ('next' in wish) turnOver(wish.next)
  }
  pump()
}

const turnOver = (next: number) => {
  handed.close()
  handedNumber = next
  handed = new LineFollower(paths.handed(handedNumber))
  follow()
  say(`${JSON.stringify({ next })}\n`)
  sayNow()
  closeSync(told)
  toldNumber = next
  told = openSync(paths.told(toldNumber), 'a', 0o600)
  const held = [...[...begun.values()].map(({ name, beganAt }) => [name, beganAt]), ...waiting.map(({ name }) => [name, 0])]
  say(`${JSON.stringify({ held })}\n`)
  sayNow()
  setImmediate(listen)
}

const follow = () => {
  // The file may come a moment later than the word of it.
  if (!existsSync(handed.path)) closeSync(openSync(handed.path, 'a', 0o600))
  handed.watch(listen)
}

const stop = (name: string, why: StopWord) => {
  const held = begun.get(name)
  // In its course: what its listeners print is its output, and what they throw its own fault.
  if (held) return tasks.run(held, () => held.run.stop.ask(why))
  const index = waiting.findIndex(one => one.name === name)
  if (index < 0) return
  waiting.splice(index, 1)
  // Whoever was to be interrupted is just given back; that it was cancelled or is too late is its end.
  say(why === 'interrupted' ? `${JSON.stringify({ back: [name] })}\n` : endedLine(name, endOf({ ...notBegun, kind: why }, null)))
  sayNow()
}
const notBegun = { content: null, error: null, exitCode: 0, signal: null }

const leave = (why: string) => {
  leaving ??= why
  if (waiting.length) say(`${JSON.stringify({ back: waiting.splice(0).map(({ name }) => name) })}\n`)
  sayNow()
  if (begun.size === 0) goNow()
}

const goNow = (code = 0) => {
  sayNow()
  process.exit(code)
}

// ---- the tasks

const pump = () => {
  if (pumping) return
  if (turnBeganAt === 0) {
    turnBeganAt = performance.now()
    setImmediate(() => {
      turnBeganAt = 0
      // Not for nothing: one turn would make the next for ever, and the process would never sleep.
      if (mayBegin()) pump()
    })
  } else if (performance.now() - turnBeganAt > turnMs) return sayNow()
  pumping = true
  while (mayBegin()) begin(waiting.shift()!)
  pumping = false
  sayNow()
}

const mayBegin = () => leaving === null && waiting.length > 0 && begun.size < ticket.options.concurrency

const begin = ({ name, task, params }: { name: string; task: HandedTask; params: Json }) => {
  const beganAt = Date.now()
  const held = hold(name, task, params, beganAt)
  begun.set(name, held)
  // Before it is called: should the process die of it, it is known that it had begun.
  say(`{"began":"${name}","at":${beganAt}}\n`)
  sayNow()
  if (begun.size === 1) startBeating()
  tasks.run(held, async () => ended(held, await callAction(held.run, execute)))
}

const hold = (name: string, task: HandedTask, params: Json, beganAt: number): Held => {
  const runFolder = runtimePaths(runtime).run(name).folder
  const place = () => {
    if (!held.hasFolder) {
      held.hasFolder = true
      makeFolder(runFolder)
      writeTicket(runFolder, { ...runTicket, process: identity })
    }
    return runPaths(runFolder)
  }
  const runTicket: Ticket = {
    taskId: task.id,
    uid: task.uid,
    number: task.number,
    action: ticket.action,
    file: ticket.file,
    exportName: ticket.exportName,
    params,
    execType: 'ONCE',
    type: task.type,
    creator: task.creator,
    attempt: task.attempt,
    timeoutMs: task.timeoutMs,
    graceMs: task.graceMs,
    stallMs: null,
    stallRestart: false,
    epoch: ticket.epoch,
    host: ticket.host,
    wish: 0,
    mark: ticket.mark,
    startedAt: beganAt,
    resident: { name: ticket.name, nth: task.nth },
    ...(ticket.startedWith ? { startedWith: ticket.startedWith } : {}),
  }
  const held: Held = {
    name,
    task,
    beganAt,
    run: makeRun(runTicket, { beatPath: () => place().beat, secretsPath: () => place().secrets, artifactsPath: () => place().artifacts }),
    output: createTaskOutput(place, ticket.outputBytes),
    hasFolder: false,
  }
  return held
}

const ended = (held: Held, outcome: Outcome) => {
  if (!begun.delete(held.name)) return
  if (outcome.error) {
    const text = outcome.error.includes(outcome.content ?? '') ? outcome.error : `${outcome.content}\n${outcome.error}`
    tasks.run(held, () => console.error(text))
  }
  held.run.beats.flush()
  held.output.end()
  const end = endOf(outcome, held)
  if (held.hasFolder) {
    try {
      writeOutcome(runPaths(runtimePaths(runtime).run(held.name).folder).outcome, end)
    } catch (error) {
      console.error(`bgtask: the outcome of run ${held.name} cannot be written (${messageOf(error)})`)
    }
  }
  say(endedLine(held.name, end))
  // With the next one's beginning it is one write.
  if (leaving !== null || !waiting.length || pumping) sayNow()
  if (leaving !== null && begun.size === 0) return goNow()
  pump()
}

// What the process used is not one run's.
const endOf = (outcome: Outcome, held: Held | null): RunEnd => ({
  kind: outcome.kind,
  content: outcome.content,
  error: outcome.error,
  exitCode: exitCodeOf(outcome),
  signal: null,
  endedAt: Date.now(),
  iterations: held?.run.beats.beat.iterations || null,
  peakMemoryBytes: null,
  cpuMs: null,
  outputBytes: held?.hasFolder ? held.output.bytes : null,
})

// ---- what may happen to the process

const thrown = (error: unknown, uncaught: EndFacts['uncaught']) => {
  const store = tasks.getStore()
  const culprit = store && begun.has(store.name) ? store : begun.size === 1 && !store ? [...begun.values()][0] : null
  if (culprit) ended(culprit, thrownOutcome(culprit.run, error, uncaught))
  else console.error(error)
  if (culprit || store) {
    // Nobody knows what such an error left behind, so nothing more is begun here.
    leave('an error that nobody caught')
    return
  }
  console.error(
    'bgtask: nobody caught this error, and it cannot be told which task it belongs to; this process ends with all that it holds.',
  )
  goNow(1)
}
process.on('uncaughtException', error => thrown(error, 'exception'))
process.on('unhandledRejection', error => thrown(error, 'rejection'))

process.on('exit', code => {
  const culprit = tasks.getStore()
  if (culprit && begun.has(culprit.name)) {
    // It left for all of them; the others are not to blame.
    for (const held of [...begun.values()]) {
      begun.delete(held.name)
      held.run.beats.flush()
      held.output.end()
      const outcome =
        held === culprit ? exitedOutcome(held.run, code) : { ...notBegun, kind: held.run.stop.asked ?? ('interrupted' as const) }
      say(endedLine(held.name, { ...endOf(outcome, held), exitCode: held === culprit ? code : null }))
    }
  }
  sayNow()
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => leave(signal))

// ---- beats, and the end of one whom nobody needs

let beating: NodeJS.Timeout | null = null
const startBeating = () => {
  beating ??= setInterval(beat, 1_000)
}
const beat = () => {
  // Not at once with the end of a task, since the next one may follow within the same millisecond.
  if (begun.size === 0 && beating) {
    clearInterval(beating)
    beating = null
    return
  }
  try {
    writeJson(paths.beat, { at: Date.now(), memoryBytes: process.memoryUsage.rss() })
  } catch (error) {
    console.error(`bgtask: ${paths.beat} cannot be written (${messageOf(error)})`)
  }
}

/** The supervisor ends those whom it does not need. This is for the day on which there is none. */
let lastBusyAt = performance.now()
setInterval(() => {
  listen()
  if (begun.size || waiting.length) lastBusyAt = performance.now()
  else if (performance.now() - lastBusyAt > ticket.options.idleMs + 10_000) leave('idle, and no supervisor said so')
}, 500)

// ---- begin

divertOutput(tasks)
findRunBy(() => tasks.getStore()?.run)
try {
  execute = await loadAction(ticket)
} catch (error) {
  console.error(error)
  say(`${JSON.stringify({ broken: messageOf(error) })}\n`)
  goNow(1)
}
say(`${JSON.stringify({ ready: Date.now() })}\n`)
sayNow()
follow()
listen()
