import type { EndedRun } from './cause.ts'
import type { StopFacts } from './end-facts.ts'
import type { Message } from './message.ts'
import type { Task } from './task.ts'

export type EndKey =
  | 'end.replaced'
  | `end.${'running' | 'recycled' | 'recycledIterations' | 'recycledAge' | 'recycledMemory' | 'misconfigured'}`
  | `end.${'failed' | 'failedSilently' | 'exited' | 'exitedSaying' | 'exitedPrinting' | 'said' | 'says' | 'killed' | 'memoryLimit'}`
  | `end.${'succeeded' | 'timed-out' | 'out-of-memory' | 'cancelled' | 'interrupted' | 'lost'}`
  | `end.${'stopped' | 'cancelled' | 'restarted' | 'reloaded' | 'left'}By`
  | `end.${'stopped' | 'restarted' | 'reloaded' | 'left' | 'stalled'}`

/** How a run ended, in words. @param task whose run it is: the newest run of one that was replaced says by which */
export const explainEnd = (run: EndedRun, task?: Pick<Task, 'reason' | 'number'>): Message<EndKey> => {
  if (run.outcome === 'cancelled' && task?.reason?.code === 'replaced' && task.reason.detail && run.number === task.number)
    return say('end.replaced', { detail: task.reason.detail })
  if (run.recycled) return explainRecycling(run)
  if (run.exitCode === 78) return say('end.misconfigured')
  const detail = firstLine(run.content ?? run.error)
  switch (run.outcome) {
    case null:
      return say('end.running')
    case 'failed':
      return detail ? say('end.failed', { detail }) : say('end.failedSilently')
    case 'exited':
      return explainExit(run)
    case 'killed':
      return say('end.killed', { signal: run.signal ?? 'SIGKILL' })
    case 'out-of-memory':
      return explainOutOfMemory(run)
    case 'cancelled':
    case 'interrupted':
    case 'timed-out':
      return run.endFacts?.stop ? explainStop(run.endFacts.stop) : say(`end.${run.outcome}`)
    case 'succeeded':
    case 'lost':
      return say(`end.${run.outcome}`)
  }
}

/** What a run said of its end, or printed last, where its code is told already. @returns null when it said nothing */
export const explainSaid = ({ outcome, content, error }: EndedRun): Message<EndKey> | null => {
  const says = outcome === 'failed' ? firstLine(content) : ''
  if (says) return say('end.says', { detail: says })
  const { detail } = lastPrinted(error)
  return outcome === 'exited' && detail ? say('end.said', { detail }) : null
}

const say = (key: EndKey, values: Message['values'] = {}): Message<EndKey> => ({ key, values })

// execForeverInterval says so in these words, unless the action has something to say itself.
const explainRecycling = ({ content }: EndedRun): Message<EndKey> => {
  const [, iterations, ageMs] = /^recycled after (?:(\d{1,15}) iterations|(\d{1,15}) ms)$/.exec(content ?? '') ?? []
  const memoryMb = /^recycled at (\d{1,15}) MB of memory, /.exec(content ?? '')?.[1]
  if (iterations) return say('end.recycledIterations', { iterations: Number(iterations) })
  if (ageMs) return say('end.recycledAge', { ageMs: Number(ageMs) })
  return memoryMb ? say('end.recycledMemory', { memoryMb: Number(memoryMb) }) : say('end.recycled')
}

// A supervisor that watched its end says the code; what it printed last it says in the words of supervisor/complete-end.ts.
const explainExit = ({ exitCode, error }: EndedRun): Message<EndKey> => {
  if (exitCode === null) return say('end.lost')
  const values = { exitCode: String(exitCode) }
  const { what, detail } = lastPrinted(error)
  if (!detail) return say('end.exited', values)
  return say(what === 'error' ? 'end.exitedSaying' : 'end.exitedPrinting', { ...values, detail })
}

const lastPrinted = (error: string | null): { what?: string; detail?: string } => {
  const [, what, detail] = /(?:^|\n)Last (error|line) printed: ([^\n]{1,300})/.exec(error ?? '') ?? []
  return what && detail ? { what, detail } : {}
}

const explainOutOfMemory = ({ error }: EndedRun): Message<EndKey> => {
  const memoryMb = /its limit of (\d{1,9}) MB \(memoryMb\)/.exec(error ?? '')?.[1]
  return memoryMb ? say('end.memoryLimit', { memoryMb: Number(memoryMb) }) : say('end.out-of-memory')
}

const explainStop = ({ because, by }: StopFacts): Message<EndKey> => {
  switch (because) {
    case 'cancel':
      return by ? say('end.cancelledBy', { by }) : say('end.cancelled')
    case 'timeout':
      return say('end.timed-out')
    case 'stalled':
      return say('end.stalled')
    case 'wanted-down':
    case 'fresh-wish':
    case 'reload':
    case 'leaving':
      return by ? say(`end.${stopWords[because]}By`, { by }) : say(`end.${stopWords[because]}`)
  }
}
const stopWords = { 'wanted-down': 'stopped', 'fresh-wish': 'restarted', reload: 'reloaded', leaving: 'left' } as const

const firstLine = (text: string | null) => {
  const line = text?.split('\n', 1)[0]?.trim() ?? ''
  return line.length > 200 ? `${line.slice(0, 199)}…` : line
}
