import { readFileSync } from 'node:fs'
import { type LineAnswer, TaskClient } from '../../app/remote/task-client.ts'

/** A process of its own that sends tasks by the client, as another machine would: `node sender.ts <json of Sending>`. Tells what it saw in a line of JSON. */
export interface Sending {
  url: string
  token: string
  tasks: number
}

export interface Sent {
  added: number
  tookMs: number
  /** Resident memory before the first task, and the most of it there ever was. */
  beforeMb: number
  peakMb: number
  /** Most tasks that were taken from the generator and not yet answered. */
  mostHeld: number
}

const { url, token, tasks } = JSON.parse(process.argv[2]!) as Sending

const memoryMb = (what: 'VmRSS' | 'VmHWM') =>
  (Number(new RegExp(`^${what}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024) / 1e6

let taken = 0
let answered = 0
let mostHeld = 0
function* wishes() {
  for (; taken < tasks; ) {
    taken++
    mostHeld = Math.max(mostHeld, taken - answered)
    yield { action: 'bench/no-op', params: { number: taken, text: `what the task is about, number ${taken}` } }
  }
}

const client = new TaskClient({ url, token })
await client.task(1).catch(() => undefined)
const beforeMb = memoryMb('VmRSS')
const from = performance.now()
let added = 0
for await (const answer of client.sendTasks(wishes())) {
  answered++
  if (isAdded(answer)) added++
  else throw new Error(JSON.stringify(answer))
}
const sent: Sent = { added, tookMs: performance.now() - from, beforeMb, peakMb: memoryMb('VmHWM'), mostHeld }
console.log(JSON.stringify(sent))

function isAdded(answer: LineAnswer) {
  return 'added' in answer && answer.added
}
