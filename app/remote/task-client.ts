import type { ScheduleOptions } from '../api/schedule-options.ts'
import type { ExecType, Json } from '../task/task.ts'
import type {
  CallOptions,
  LineAnswer,
  RemoteEdit,
  RemoteSchedule,
  RemoteTask,
  TaskChanges,
  TaskClientOptions,
  TaskFilter,
} from './client-types.ts'
import { TaskClientError } from './task-client-error.ts'
import type { SendOptions, SendWish, TaskSender } from './task-sender.ts'
import { type Answered, overHttp, overSocket, type Transport } from './transport.ts'
import { isForGood, tellCause, wasNeverSent, whyUnreachable } from './why-unreachable.ts'

export type { ScheduleOptions } from '../api/schedule-options.ts'
export type * from './client-types.ts'
export { TaskClientError } from './task-client-error.ts'
export type { SendOptions, SendWish, TaskSender } from './task-sender.ts'

/**
 * The panel from another process or machine: what `addTask` does here, over HTTP or a Unix socket. Connections that break, 429, 502, 503 and 504
 * are tried again, with growing waits; what adds goes with an idempotency key, so that it is added once.
 * Needs nothing but fetch (Node 18 or later; sockets need Node).
 * @example
 * const tasks = new TaskClient({ url: 'https://panel.example.com', token: process.env.BGTASK_TOKEN })
 * const { id } = await tasks.sendTask('report/build', { month: '2026-11' })
 * const { state, content } = await tasks.wait(id, { timeoutMs: 600_000 })
 */
export class TaskClient implements TaskSender {
  readonly #transport: Transport
  /** For sentences. */
  readonly #place: string
  readonly #token: string | undefined
  readonly #timeoutMs: number
  readonly #retries: number

  /** @throws TypeError without exactly one of url and socketPath; when the url is none of http or https, or the token would be sent in the clear */
  constructor({ url, socketPath, token, insecure = false, timeoutMs = 60_000, retries = 8 }: TaskClientOptions) {
    if ((url === undefined) === (socketPath === undefined)) throw new TypeError('Give a TaskClient either url or socketPath.')
    this.#transport = url === undefined ? overSocket(socketPath!) : overHttp(url)
    this.#place = url === undefined ? `socket ${socketPath}` : originOf(url)
    if (url !== undefined && token !== undefined && !insecure) requireUnread(url)
    this.#token = token
    this.#timeoutMs = timeoutMs
    this.#retries = retries
  }

  /** Adds a task; the same as addTask of the library. @throws TaskClientError */
  async sendTask(
    action: string,
    params: unknown = {},
    execTypeOrOptions: ExecType | SendOptions = {},
    call: CallOptions = {},
  ): Promise<RemoteTask> {
    const options = typeof execTypeOrOptions === 'string' ? { execType: execTypeOrOptions } : execTypeOrOptions
    const { task } = await this.#add<{ task: RemoteTask }>('/tasks', { action, params, options }, call)
    return task
  }

  addTask(action: string, params?: unknown, execTypeOrOptions?: ExecType | SendOptions): Promise<RemoteTask> {
    return this.sendTask(action, params, execTypeOrOptions)
  }

  /** All of them or none, at most 1,000; `sendTasks` takes any number. @throws TaskClientError */
  async addTasks(wishes: readonly SendWish[], call: CallOptions = {}): Promise<RemoteTask[]> {
    if (wishes.length === 0) return []
    const { tasks } = await this.#add<{ tasks: { task: RemoteTask }[] }>('/tasks', wishes, call)
    return tasks.map(({ task }) => task)
  }

  /**
   * Adds any number of tasks, each for itself, without holding more than a piece of them: read as they come, answered in their order.
   * What breaks is sent again under one key, so that nothing is added twice and nothing left out.
   * @param call.timeoutMs for each piece of 500
   * @throws TaskClientError when a piece does not get through; with the same `idempotencyKey` the same tasks may be given again
   */
  async *sendTasks(wishes: Iterable<SendWish> | AsyncIterable<SendWish>, call: CallOptions = {}): AsyncGenerator<LineAnswer> {
    const key = call.idempotencyKey ?? newKey()
    let first = 1
    let piece: string[] = []
    let length = 0
    for await (const wish of wishes) {
      const line = JSON.stringify(wish)
      piece.push(line)
      length += line.length
      if (piece.length < pieceLines && length < pieceLength) continue
      yield* await this.#sendPiece(piece, first, key, call)
      first += piece.length
      piece = []
      length = 0
    }
    if (piece.length > 0) yield* await this.#sendPiece(piece, first, key, call)
  }

  /** Runs a command of the panel's commands file. @throws TaskClientError */
  async sendCommand(name: string, args: Record<string, string | number | boolean> = {}, call: CallOptions = {}): Promise<RemoteTask> {
    const { task } = await this.#add<{ task: RemoteTask }>(`/commands/${encodeURIComponent(name)}`, { args }, call)
    return task
  }

  /** @param id or uid @throws TaskClientError `not-found` */
  async task(id: number | string, call: CallOptions = {}): Promise<RemoteTask> {
    return (await this.#json<{ task: RemoteTask }>('GET', `/tasks/${encodeURIComponent(id)}`, undefined, call)).task
  }

  /** A page, newest first; `older` is `after` of the next. @throws TaskClientError */
  async tasks(
    filter: TaskFilter = {},
    call: CallOptions = {},
  ): Promise<{ tasks: RemoteTask[]; newer: string | null; older: string | null }> {
    const query = new URLSearchParams(
      Object.entries(filter).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, [value].flat().join(',')] as [string, string]],
      ),
    )
    return this.#json('GET', `/tasks?${query}`, undefined, call)
  }

  /** Waits until the task has ended, over as many requests as that takes. @throws TaskClientError `timed-out`; `busy` for a loop */
  async wait(id: number | string, call: CallOptions = {}): Promise<RemoteTask> {
    const until = Date.now() + (call.timeoutMs ?? this.#timeoutMs)
    for (;;) {
      const leftMs = until - Date.now()
      const timeoutMs = Math.max(0, Math.min(leftMs, longestWaitMs))
      const path = `/tasks/${encodeURIComponent(id)}/wait?timeoutMs=${timeoutMs}`
      const asked = { ...call, timeoutMs: Math.max(leftMs, 0) + graceMs }
      const answer = await this.#json<{ task: RemoteTask; ended: boolean }>('GET', path, undefined, asked).catch(error => {
        // As many wait as may: its place comes, if the time does not end before.
        if (error instanceof TaskClientError && error.status === 429 && Date.now() < until) return null
        throw error
      })
      if (answer === null) continue
      if (answer.ended) return answer.task
      if (Date.now() >= until) throw new TaskClientError('timed-out', null, `Task ${id} is ${answer.task.state}; it did not end in time.`)
    }
  }

  /** The task that holds a unique key now: it waits or runs. null: the key is free. @throws TaskClientError */
  async taskWithKey(unique: string, call: CallOptions = {}): Promise<RemoteTask | null> {
    return (await this.tasks({ unique }, call)).tasks[0] ?? null
  }

  /**
   * Cancels a task by its id or uid, or whatever holds a unique key, with the task that was to follow it.
   * @returns the task as it stands then; null when nothing holds the key
   * @throws TaskClientError `busy` when it has ended already
   */
  cancel(which: number | string, call?: CallOptions): Promise<RemoteTask>
  cancel(which: { unique: string }, call?: CallOptions): Promise<RemoteTask | null>
  async cancel(which: number | string | { unique: string }, call: CallOptions = {}): Promise<RemoteTask | null> {
    if (typeof which !== 'object')
      return this.#act(which, 'cancellation', call, task => task.wanted === 'down' || task.state === 'cancelled')
    const body = JSON.stringify({ unique: which.unique })
    return this.#orNull(async () => (await this.#json<{ task: RemoteTask }>('POST', '/tasks/cancellation', body, call)).task)
  }

  /**
   * Gives a waiting task another due time: one of an id or uid, or the one that holds a unique key.
   * @throws TaskClientError `not-found`; `busy` for one that does not wait
   */
  async move(
    which: number | string | { unique: string },
    when: Pick<SendOptions, 'runAt' | 'delayMs'>,
    call: CallOptions = {},
  ): Promise<RemoteTask> {
    const [path, body] =
      typeof which === 'object' ? ['/tasks/move', { unique: which.unique, ...when }] : [`/tasks/${encodeURIComponent(which)}/move`, when]
    return (await this.#json<{ task: RemoteTask }>('POST', path, JSON.stringify(body), call)).task
  }

  /**
   * Declares a schedule, as addSchedule of the library does: to be called at each start, since saying the same again changes nothing.
   * @throws TaskClientError `conflict` when the application's code, or a person, made one of that name
   */
  async addSchedule(name: string, options: ScheduleOptions, call: CallOptions = {}): Promise<RemoteSchedule> {
    const path = `/schedules/${encodeURIComponent(name)}`
    return (await this.#json<{ schedule: RemoteSchedule }>('PUT', path, JSON.stringify(options), call)).schedule
  }

  /** Its tasks stay. @returns false when there is none of that name @throws TaskClientError `busy` when somebody changed it in this very moment; it stays */
  async removeSchedule(name: string, call: CallOptions = {}): Promise<boolean> {
    const lost = { answers: 0 }
    const path = `/schedules/${encodeURIComponent(name)}`
    const removed = await this.#orNull(() => this.#json('DELETE', path, undefined, call, {}, lost))
    // When an answer was lost, it may be that try which has removed it.
    return removed !== null || lost.answers > 0
  }

  /** All schedules, by name. @throws TaskClientError */
  async schedules(call: CallOptions = {}): Promise<RemoteSchedule[]> {
    const all: RemoteSchedule[] = []
    for (let after = ''; ; ) {
      const path = `/schedules?limit=200${after && `&after=${encodeURIComponent(after)}`}`
      const page = await this.#json<{ schedules: RemoteSchedule[]; further: string | null }>('GET', path, undefined, call)
      all.push(...page.schedules)
      if (page.further === null) return all
      after = page.further
    }
  }

  /**
   * Gives a loop, or a task that waits, other params or limits. A hidden value may be sent back as it was told, and stays what it is.
   * @throws TaskClientError `conflict` when the task is not as `seen` any more; `busy` when it does not wait
   */
  async edit(id: number | string, changes: TaskChanges, call: CallOptions = {}): Promise<RemoteEdit> {
    return (await this.#add<{ edit: RemoteEdit }>(`/tasks/${encodeURIComponent(id)}/edit`, asSent(changes), call)).edit
  }

  /** Brings back what was before a change, and with it what was before all that came after. @param n its number within the task @throws as edit */
  async revert(
    id: number | string,
    n: number,
    how: Pick<TaskChanges, 'effect' | 'seen'> = {},
    call: CallOptions = {},
  ): Promise<RemoteEdit> {
    return (await this.#add<{ edit: RemoteEdit }>(`/tasks/${encodeURIComponent(id)}/edits/${n}/reversal`, asSent(how), call)).edit
  }

  /** What was changed of a task, newest first; `older` is `before` of the next page. @throws TaskClientError */
  async edits(
    id: number | string,
    page: { limit?: number; before?: number } = {},
    call: CallOptions = {},
  ): Promise<{ edits: RemoteEdit[]; older: number | null }> {
    const query = new URLSearchParams(Object.entries(page).map(([name, value]) => [name, String(value)] as [string, string]))
    return this.#json('GET', `/tasks/${encodeURIComponent(id)}/edits?${query}`, undefined, call)
  }

  /** Runs an ended task again. @throws TaskClientError `busy` when it has not ended */
  retry(id: number | string, call: CallOptions = {}): Promise<RemoteTask> {
    return this.#act(id, 'retry', call, task => task.state === 'waiting' || task.state === 'running')
  }

  /** null for what is not there. */
  async #orNull<Answer>(ask: () => Promise<Answer>): Promise<Answer | null> {
    try {
      return await ask()
    } catch (error) {
      if (error instanceof TaskClientError && error.code === 'not-found') return null
      throw error
    }
  }

  /** @param isDone whether it is so already: then a try whose answer was lost has done it */
  async #act(id: number | string, noun: string, call: CallOptions, isDone: (task: RemoteTask) => boolean): Promise<RemoteTask> {
    const lost = { answers: 0 }
    try {
      return (await this.#json<{ task: RemoteTask }>('POST', `/tasks/${encodeURIComponent(id)}/${noun}`, undefined, call, {}, lost)).task
    } catch (error) {
      if (lost.answers === 0 || !(error instanceof TaskClientError) || error.status !== 409) throw error
      const task = await this.task(id, call)
      if (isDone(task)) return task
      throw error
    }
  }

  async #add<Answer>(path: string, body: unknown, call: CallOptions): Promise<Answer> {
    return this.#json('POST', path, JSON.stringify(body), call, { 'idempotency-key': call.idempotencyKey ?? newKey() })
  }

  async #sendPiece(lines: readonly string[], first: number, key: string, call: CallOptions): Promise<LineAnswer[]> {
    const read = ({ text }: Answered): LineAnswer[] => {
      const told = text
        .split('\n')
        .filter(Boolean)
        .map(line => JSON.parse(line) as Json as Record<string, unknown>)
      const stopped = told.find(line => 'stopped' in line)?.stopped as { error: { code: string; message: string } } | undefined
      if (stopped) throw new Interrupted(stopped.error.code, stopped.error.message)
      const answers = told.filter(line => 'line' in line) as unknown as LineAnswer[]
      if (!told.some(line => 'end' in line) || answers.length !== lines.length) throw new Interrupted('unreachable', 'The answer was cut.')
      return answers
    }
    const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': key }
    return this.#ask('POST', `/tasks?first=${first}`, `${lines.join('\n')}\n`, call, headers, read)
  }

  #json<Answer>(
    method: string,
    path: string,
    body: string | undefined,
    call: CallOptions,
    headers: Record<string, string> = {},
    lost?: { answers: number },
  ): Promise<Answer> {
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    return this.#ask(method, path, body, call, { ...type, ...headers }, ({ text }) => JSON.parse(text) as Answer, lost)
  }

  async #ask<Answer>(
    method: string,
    path: string,
    body: string | undefined,
    { signal, timeoutMs = this.#timeoutMs }: CallOptions,
    headers: Record<string, string>,
    read: (answered: Answered) => Answer,
    lost = { answers: 0 },
  ): Promise<Answer> {
    const over = new AbortController()
    const timer = setTimeout(() => over.abort(), timeoutMs)
    const abort = () => over.abort()
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    const all = { accept: 'application/json', ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }), ...headers }
    const asked = { method, path: `/api/v1${path}`, headers: all, signal: over.signal, ...(body === undefined ? {} : { body }) }
    const ended = (cause: unknown) =>
      signal?.aborted
        ? new TaskClientError('aborted', null, 'The call was aborted.', { cause })
        : new TaskClientError('timed-out', null, `No answer from ${this.#place} within ${timeoutMs} ms; ${tellCause(cause, this.#place)}`, {
            cause,
          })
    try {
      for (let tries = 0; ; tries++) {
        let problem: TaskClientError
        let waitMs: number | null = null
        try {
          const answered = await this.#transport(asked)
          if (answered.status >= 200 && answered.status < 300 && answered.isJson) return read(answered)
          problem = errorIn(answered, this.#place)
          waitMs = answered.retryAfterMs
          if (!isPassing(answered.status, problem.code)) throw new Final(problem)
        } catch (error) {
          if (error instanceof Final) throw error.problem
          if (over.signal.aborted) throw ended(error)
          // Sent, perhaps done, and not answered.
          if (!wasNeverSent(error)) lost.answers++
          problem =
            error instanceof Interrupted
              ? new TaskClientError(error.code, null, error.message, { cause: error })
              : new TaskClientError('unreachable', null, whyUnreachable(error, this.#place), { cause: error })
          if (isForGood(error)) throw problem
        }
        if (tries >= this.#retries) throw problem
        await pause(waitMs ?? backoffMs(tries), over.signal).catch(() => {
          throw ended(problem)
        })
      }
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }
}

/** A token is as good as a password, and plain http shows it to everybody on the way; within one machine there is nobody. */
const requireUnread = (url: string): void => {
  const { protocol, hostname } = new URL(url)
  if (protocol === 'https:' || /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname)) return
  throw new TypeError(
    `The token would go to ${hostname} by ${protocol.slice(0, -1)}, readable for everybody on the way. Give an https url or a socketPath; or insecure: true, in a network that only you are in.`,
  )
}

/** Of one request of many lines; what is sent is held until it is answered. */
const pieceLines = 500
const pieceLength = 1_000_000
const longestWaitMs = 25_000
/** For the answer itself, after a wait. */
const graceMs = 15_000

/** The answer says that nothing more will come of this try, and it does not say no. */
class Interrupted extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

class Final extends Error {
  readonly problem: TaskClientError
  constructor(problem: TaskClientError) {
    super(problem.message)
    this.problem = problem
  }
}

const isPassing = (status: number, code: string) => [429, 502, 503, 504].includes(status) || (status === 409 && code === 'under-way')

const errorIn = ({ status, text, location }: Answered, place: string): TaskClientError => {
  if (status === 0 || (status >= 300 && status < 400)) {
    const other = location === null ? 'another address' : location.slice(0, 200)
    return new TaskClientError(
      'no-panel',
      status || null,
      `${place} sends us on to ${other}; if that is the panel, give its address as url.`,
    )
  }
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } }
    return new TaskClientError(String(error.code), status, String(error.message))
  } catch {
    const sentence = `What answers at ${place} (${status}) is no panel of bgtask, or something stands in front of it.`
    return new TaskClientError('no-panel', status, sentence)
  }
}

/** 0.1 s to 10 s; jittered, so that many do not come back at once. */
const backoffMs = (tries: number) => Math.min(10_000, 200 * 2 ** tries) * (0.5 + Math.random() / 2)

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(new Error('aborted'))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })

const originOf = (url: string): string => {
  const { protocol, origin } = new URL(url)
  if (protocol === 'http:' || protocol === 'https:') return origin
  throw new TypeError(`The url of a TaskClient is ${url.slice(0, 200)}; it must begin with http:// or https://.`)
}

/** Of a whole task no more than what tells whether it is as it was. */
const asSent = <Given extends Pick<TaskChanges, 'seen'>>({ seen, ...given }: Given) => ({
  ...given,
  ...(seen && { seen: { edits: seen.edits, superseded: seen.superseded } }),
})

/** 128 random bits; crypto is global in Node from 20 on and in browsers, on https. */
const newKey = (): string => {
  const bytes = new Uint8Array(16)
  if (globalThis.crypto) globalThis.crypto.getRandomValues(bytes)
  else for (let at = 0; at < 16; at++) bytes[at] = Math.floor(Math.random() * 256)
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}
