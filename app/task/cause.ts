import type { Message } from './message.ts'
import type { Run } from './run.ts'

/** What is looked at to find out why a run ended badly. */
export type EndedRun = Pick<Run, 'outcome' | 'exitCode' | 'signal' | 'recycled' | 'error' | 'content'> &
  Partial<Pick<Run, 'number' | 'startedAt' | 'iterations' | 'endFacts'>>

export type CauseKey =
  | `cause.${'ignoredStop' | 'blocked' | 'blocks' | 'hung' | 'hangs' | 'memory' | 'leak' | 'segfault' | 'aborted' | 'sigkill' | 'kernelMemory' | 'byHand' | 'signal'}`
  | `cause.${'flood' | 'syntax' | 'module' | 'port' | 'database' | 'refused' | 'name' | 'noAnswer' | 'disk' | 'openFiles' | 'denied'}`
  | `cause.${'missing' | 'unsettled' | 'rejection' | 'exception' | 'exitZero' | 'exit'}`

/**
 * What most likely made a run end so, and what to do about it: from the signal and the code, from who stopped it, and from the words by which programs
 * on Node say what is wrong. @returns null when it ended well, or nothing that is known here fits
 */
export const causeOf = (run: EndedRun): Message<CauseKey> | null =>
  causeOfStop(run) ?? causeOfDeath(run) ?? causeInWords(run) ?? causeOfExit(run)

const say = (key: CauseKey, values: Message['values'] = {}): Message<CauseKey> => ({ key, values })

const causeOfStop = ({ outcome, error, endFacts }: EndedRun): Message<CauseKey> | null => {
  const { stop } = endFacts ?? {}
  if (stop?.stalled) return say(stop.stalled === 'busy' ? 'cause.blocked' : 'cause.hung')
  if (outcome !== 'cancelled' && outcome !== 'interrupted' && outcome !== 'timed-out') return null
  const afterMs = stop ? stop.killedAfterMs : Number(/ within (\d+) ms after SIGTERM and was ended by SIGKILL/.exec(error ?? '')?.[1] ?? 0)
  return afterMs ? say('cause.ignoredStop', { afterMs }) : null
}

const causeOfDeath = ({ outcome, signal, iterations, endFacts }: EndedRun): Message<CauseKey> | null => {
  // What is too large at once does not get through several iterations.
  if (outcome === 'out-of-memory') return (iterations ?? 0) >= 3 ? say('cause.leak', { iterations: iterations! }) : say('cause.memory')
  if (outcome !== 'killed') return null
  if (signal === 'SIGSEGV' || signal === 'SIGBUS') return say('cause.segfault')
  if (signal === 'SIGABRT' || signal === 'SIGTRAP') return say('cause.aborted')
  if (signal !== 'SIGKILL' && signal !== null) return say('cause.signal')
  const { kernelKills } = endFacts ?? {}
  return say(kernelKills === undefined ? 'cause.sigkill' : kernelKills > 0 ? 'cause.kernelMemory' : 'cause.byHand')
}

const causeInWords = ({ outcome, content, error, endFacts }: EndedRun): Message<CauseKey> | null => {
  if (outcome !== 'failed' && outcome !== 'exited') return null
  const text = `${content ?? ''}\n${error ?? ''}`.slice(0, readAtMost)
  for (const { key, matches } of signs) {
    const found = matches.exec(text)
    // What it is in may have been the end of a sentence.
    if (found) return say(key, { what: (found.slice(1).find(Boolean) ?? found[0]).slice(0, 160).replace(/[\s.,;:]{1,9}$/, '') })
  }
  return endFacts?.uncaught ? say(`cause.${endFacts.uncaught}`) : null
}

// The runner says so when its process leaves by itself; what ends without its knowing is no process.exit().
const causeOfExit = ({ outcome, exitCode, content }: EndedRun): Message<CauseKey> | null => {
  if (outcome !== 'exited' || exitCode === null || exitCode === 78 || !content?.startsWith('The process left with exit code ')) return null
  return exitCode === 0 ? say('cause.exitZero') : say('cause.exit', { exitCode: String(exitCode) })
}

/** More is not looked at: an error may be of any length. */
const readAtMost = 8_000

/** The first that fits. What a group holds is told; else what fits as a whole. Each reads on without going back, so that no text takes long. */
const signs: readonly { key: CauseKey; matches: RegExp }[] = [
  { key: 'cause.flood', matches: /printed more than its limit of ([\d,]{1,24}) bytes \(killOnOutputBytes\)/ },
  { key: 'cause.unsettled', matches: /awaits something that nothing is left to settle/ },
  { key: 'cause.module', matches: /Cannot find (?:module|package) '([^'\n]{1,300})'/ },
  {
    key: 'cause.syntax',
    matches: /does not load from [\s\S]{0,2000}?\n(?:file:\/\/)?(\/[^\s:]{1,300}:\d{1,9})\n[\s\S]{0,1000}?SyntaxError/,
  },
  { key: 'cause.syntax', matches: /does not load from ([^\s:]{1,300}): [\s\S]{0,2000}?SyntaxError/ },
  { key: 'cause.port', matches: /EADDRINUSE: address already in use (\S{1,120})/ },
  { key: 'cause.port', matches: /\bEADDRINUSE\b/ },
  { key: 'cause.database', matches: /The database (\S{1,200}) cannot be (?:reached|opened): / },
  {
    key: 'cause.database',
    matches:
      /code: '(database-away)'|\b(PROTOCOL_CONNECTION_LOST)\b|(Can't connect to MySQL server|Connection lost: The server closed the connection)/,
  },
  { key: 'cause.refused', matches: /connect ECONNREFUSED (\S{1,120})/ },
  { key: 'cause.refused', matches: /\bECONNREFUSED\b/ },
  { key: 'cause.name', matches: /\bgetaddrinfo (?:ENOTFOUND|EAI_AGAIN) ([^\s,]{1,160})/ },
  {
    key: 'cause.noAnswer',
    matches: /\b(?:ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT|ECONNRESET|EPIPE|EHOSTUNREACH|ENETUNREACH)\b/,
  },
  { key: 'cause.disk', matches: /\b(?:ENOSPC|EDQUOT|database or disk is full)\b/ },
  { key: 'cause.openFiles', matches: /\b(?:EMFILE|ENFILE)\b/ },
  { key: 'cause.denied', matches: /\b(?:EACCES|EPERM): [^\n,]{1,60}, \w{1,20} '([^'\n]{1,200})'/ },
  { key: 'cause.denied', matches: /\b(?:EACCES|EPERM)\b/ },
  { key: 'cause.missing', matches: /\bENOENT: [^\n,]{1,60}, \w{1,20} '([^'\n]{1,200})'/ },
  { key: 'cause.missing', matches: /\bspawn (\S{1,200}) ENOENT\b/ },
]
