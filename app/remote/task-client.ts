import type { ExecType, Json, Task } from '../task/task.ts'
import { TaskClientError } from './task-client-error.ts'
import type { SendOptions, SendWish, TaskSender } from './task-sender.ts'
import { type Answered, overHttp, overSocket, type Transport } from './transport.ts'

export { TaskClientError } from './task-client-error.ts'
export type { SendOptions, SendWish, TaskSender } from './task-sender.ts'

export interface TaskClientOptions {
  /** Where the panel is, `https://panel.example.com`. */
  url?: string
  /** A Unix socket behind which the panel is (of a proxy on this machine, say) in place of a url; in Node. Its Host is `localhost`. */
  socketPath?: string
  /** `bgt_…` */
  token?: string
  /** For a whole call, with all its tries. Default 60 s. */
  timeoutMs?: number
  /** Tries after the first. Default 8. */
  retries?: number
}

export interface CallOptions {
  signal?: AbortSignal
  /** For this call. */
  timeoutMs?: number
  /** Of an adding: calls with the same key add once, also from another process. Default: one for each call, so that its own tries add once. */
  idempotencyKey?: string
}

/** A task as the panel tells of it: its row without secrets, and why it is in its state, in sentences. */
export interface RemoteTask extends Task {
  why: string | null
  end: string | null
  next: string | null
}

/** The answer to one of many. */
export type LineAnswer =
  | { line: number; id: number; uid: string; added: boolean; updated: boolean; replaced: number | null }
  | { line: number; error: { code: string; message: string } }

export interface TaskFilter {
  state?: readonly string[]
  execType?: ExecType
  action?: string
  type?: string
  creator?: string
  unique?: string
  limit?: number
  after?: string
  before?: string
}

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
  readonly #token: string | undefined
  readonly #timeoutMs: number
  readonly #retries: number

  /** @throws TypeError without exactly one of url and socketPath */
  constructor({ url, socketPath, token, timeoutMs = 60_000, retries = 8 }: TaskClientOptions) {
    if ((url === undefined) === (socketPath === undefined)) throw new TypeError('Give a TaskClient either url or socketPath.')
    this.#transport = url === undefined ? overSocket(socketPath!) : overHttp(url)
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
      const answer = await this.#json<{ task: RemoteTask; ended: boolean }>('GET', path, undefined, {
        ...call,
        timeoutMs: Math.max(leftMs, 0) + graceMs,
      })
      if (answer.ended) return answer.task
      if (Date.now() >= until) throw new TaskClientError('timed-out', null, `Task ${id} is ${answer.task.state}; it did not end in time.`)
    }
  }

  /** @throws TaskClientError `busy` when it has ended already */
  cancel(id: number | string, call: CallOptions = {}): Promise<RemoteTask> {
    return this.#act(id, 'cancellation', call, task => task.wanted === 'down' || task.state === 'cancelled')
  }

  /** Runs an ended task again. @throws TaskClientError `busy` when it has not ended */
  retry(id: number | string, call: CallOptions = {}): Promise<RemoteTask> {
    return this.#act(id, 'retry', call, task => task.state === 'waiting' || task.state === 'running')
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
        : new TaskClientError('timed-out', null, `No answer within ${timeoutMs} ms; ${reasonOf(cause)}`, { cause })
    try {
      for (let tries = 0; ; tries++) {
        let problem: TaskClientError
        let waitMs: number | null = null
        try {
          const answered = await this.#transport(asked)
          if (answered.status < 300) return read(answered)
          problem = errorIn(answered)
          waitMs = answered.retryAfterMs
          if (!isPassing(answered.status, problem.code)) throw new Final(problem)
        } catch (error) {
          if (error instanceof Final) throw error.problem
          if (over.signal.aborted) throw ended(error)
          // Sent, perhaps done, and not answered.
          lost.answers++
          problem = new TaskClientError(error instanceof Interrupted ? error.code : 'unreachable', null, reasonOf(error), { cause: error })
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

const errorIn = ({ status, text }: Answered): TaskClientError => {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } }
    return new TaskClientError(String(error.code), status, String(error.message))
  } catch {
    return new TaskClientError(
      'no-panel',
      status,
      `What answers there (${status}) is no panel of bgtask, or something stands in front of it.`,
    )
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

const reasonOf = (error: unknown): string => {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } }
  return cause?.code ?? cause?.message ?? message ?? String(error)
}

/** 128 random bits; crypto is global in Node from 20 on and in browsers, on https. */
const newKey = (): string => {
  const bytes = new Uint8Array(16)
  if (globalThis.crypto) globalThis.crypto.getRandomValues(bytes)
  else for (let at = 0; at < 16; at++) bytes[at] = Math.floor(Math.random() * 256)
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}
