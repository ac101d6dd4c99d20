import { type FSWatcher, watch } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { basename } from 'node:path'
import type { Background } from '../api/background.ts'
import type { Config } from '../config.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { isAway } from '../store/is-away.ts'
import { findSession } from '../store/sessions.ts'
import { tasksById } from '../store/tasks-by-id.ts'
import { findUserById } from '../store/users.ts'
import { changesOf, type LiveRegion, readRegion } from './live-region.ts'
import { createLiveView, type LiveView } from './live-view.ts'
import { type OutputTail, openTail } from './output-tail.ts'
import type { Pages, Reader } from './render.ts'
import { barModel } from './reply.ts'

/** Keeps the open pages up to date: rows are read once a second for all of them together, and a region is sent when it has changed. */
export interface LiveHub {
  /** How many are open. */
  streams(): number
  /** Whether one more stream is allowed. */
  hasRoom(sessionHash: string): boolean
  join(client: JoiningClient): void
  /** Looks again at once: something was just changed here. */
  poke(): void
  /** Ends the streams of a session that is over. */
  endSession(sessionHash: string): void
  /** Ends all streams; one that is opened later is ended at once. */
  close(): void
}

interface LiveTools {
  config: Config
  background: Background
  pages: Pages
  /** Of the panel. */
  root: string
  report: (error: unknown) => void
  /** Between two looks at all pages while nobody says that something has changed. Default 1,000. */
  pollMs?: number
}

export interface JoiningClient {
  raw: ServerResponse
  sessionHash: string
  reader: Reader
  /** Path and query of the page that is open. */
  page: string
  /** Where the reader's output ends, as `<run number>:<bytes>`; empty when the page shows none. */
  seen: string
}

/** What the streams may take, and how often things are done for them. Times are milliseconds. */
export const liveLimits = {
  perSession: 4,
  inAll: 200,
  /** A reader that takes nothing is dropped when this much waits for it. */
  waitingBytes: 1_000_000,
  pollMs: 1_000,
  /** Between two looks, however much happens. */
  mostOftenMs: 150,
  /** After a look they rest for so many times as long as it took: many pages that are open must not make all others slow. */
  rest: 3,
  /** So many pages are made before others get their turn. */
  atOnce: 4,
  heartbeatMs: 15_000,
  /** Whether those who read still may. */
  checkMs: 30_000,
  /** For one whose session is over, to take what waits for it. */
  partingMs: 1_000,
} as const

interface Group {
  reader: Reader
  view: LiveView
  clients: Set<JoiningClient>
  /** As they were made last. */
  regions: Map<string, LiveRegion>
  /** How its task stood when it was looked at because something had changed. */
  mark: string
  /** By performance.now(). */
  lookedAt: number
  tail: OutputTail | null
}

/** @param tools.report told of what should not have happened; it ends no stream and no process */
export const createLiveHub = ({ config, background, pages, root, report, pollMs = liveLimits.pollMs }: LiveTools): LiveHub => {
  const groups = new Map<string, Group>()
  const clients = new Set<JoiningClient>()
  let beat: NodeJS.Timeout | undefined
  let check: NodeJS.Timeout | undefined
  let watcher: FSWatcher | undefined
  let next: { timer: NodeJS.Timeout; at: number } | undefined
  /** By performance.now(), as all times of looks. */
  let notBefore = 0
  let looking = false
  let poked = false
  let soonest: NodeJS.Timeout | undefined
  let stirred = false
  let notStirredBefore = 0
  let lastGood = Date.now()
  let closed = false

  const start = () => {
    lookIn(pollMs)
    beat ??= setInterval(() => broadcast(clients, ': beat\n\n'), liveLimits.heartbeatMs)
    check ??= setInterval(checkReaders, liveLimits.checkMs)
    const { pid, wake, changed } = runtimePaths(config.runtime)
    const bells = [basename(wake), basename(changed)]
    watcher ??= watch(config.runtime, (_event, name) => {
      if (name === basename(pid)) poke()
      else if (name !== null && bells.includes(name)) stir()
    }).on('error', error => report(new Error(`${config.runtime} is not watched any more (${messageOf(error)}); pages follow by polling`)))
  }

  const pause = () => {
    for (const timer of [beat, check, next?.timer, soonest]) clearTimeout(timer)
    watcher?.close()
    beat = check = next = watcher = soonest = undefined
    stirred = false
  }

  /** Looks then, if nothing makes it look earlier. */
  const lookIn = (ms: number) => {
    const now = performance.now()
    const at = Math.max(now + ms, notBefore)
    if (looking || (next !== undefined && next.at <= at)) return
    clearTimeout(next?.timer)
    next = { timer: setTimeout(() => void look(), at - now), at }
  }

  const look = async () => {
    next = undefined
    looking = true
    const from = performance.now()
    const all = poked
    poked = false
    const due = all ? [...groups.values()] : await dueNow(from)
    for (const some of inPieces(due, liveLimits.atOnce)) {
      await refreshAll(some)
      // Who waits for a change of state does not wait for all the others.
      if (stirred) await lookAtChanged()
    }
    looking = false
    if (clients.size === 0) return
    stirAgain()
    const now = performance.now()
    notBefore = Math.max(from + liveLimits.mostOftenMs, now + liveLimits.rest * (now - from))
    lookIn(poked ? 0 : from + pollMs - now)
  }

  /** The supervisor, or somebody else, says that tasks have changed. */
  const stir = () => {
    if (clients.size === 0 || stirred) return
    stirred = true
    if (looking) return
    soonest = setTimeout(
      async () => {
        // A look that has begun meanwhile does it.
        if (looking || !stirred) return
        looking = true
        await lookAtChanged()
        looking = false
        if (clients.size === 0) return
        stirAgain()
        lookIn(poked ? 0 : pollMs)
      },
      Math.max(0, notStirredBefore - performance.now()),
    )
  }

  /** It was said while the last pages were made. */
  const stirAgain = () => {
    if (!stirred) return
    stirred = false
    stir()
  }

  /** Figures of a task that goes on as before may be a little older. */
  const dueNow = async (now: number): Promise<Group[]> => {
    const shown = [...groups.values()]
    try {
      const changed = await changedGroups()
      return shown.filter(group => group.view.taskId === null || changed.has(group) || now - group.lookedAt >= 1.9 * pollMs)
    } catch (error) {
      // Each of them says that the database is away.
      if (!isAway(error)) report(error)
      return shown
    }
  }

  /** Those of tasks whose rows are not as they were when this was asked the last time: one question for all of them. */
  const changedGroups = async (): Promise<Set<Group>> => {
    const ofTasks = [...groups.values()].filter(({ view }) => view.taskId !== null)
    const tasks = await tasksById(background.db, [...new Set(ofTasks.map(({ view }) => view.taskId!))])
    return new Set(
      ofTasks.filter(group => {
        const task = tasks.get(group.view.taskId!)
        const mark = task ? [task.state, task.number, task.wanted, task.updatedAt].join() : 'gone'
        const isChanged = group.mark !== mark
        group.mark = mark
        return isChanged
      }),
    )
  }

  /** Only at pages of tasks that have changed, and at those that show many. */
  const lookAtChanged = async () => {
    clearTimeout(soonest)
    const from = performance.now()
    stirred = false
    try {
      const changed = await changedGroups()
      const due = [...groups.values()].filter(group => (group.view.taskId === null ? group.view.regions.length > 0 : changed.has(group)))
      for (const some of inPieces(due, liveLimits.atOnce)) await refreshAll(some)
    } catch (error) {
      if (!isAway(error)) report(error)
    }
    const now = performance.now()
    // A short look needs no rest: what follows a wish at once, its fulfilment say, is to be seen at once, too.
    const restMs = now - from > liveLimits.mostOftenMs ? liveLimits.rest * (now - from) : 0
    notStirredBefore = Math.max(from + liveLimits.mostOftenMs, now + restMs)
  }

  const refreshAll = async (some: readonly Group[]) => {
    await Promise.all(some.map(group => refresh(group).catch(report)))
    await nextTurn()
  }

  const poke = () => {
    poked = true
    if (clients.size > 0) lookIn(soonMs)
  }

  const refresh = async (group: Group) => {
    group.lookedAt = performance.now()
    for (const { id, html } of await render(group)) {
      const region = readRegion(html)
      const changes = changesOf(id, group.regions.get(id), region)
      group.regions.set(id, region)
      for (const change of changes) send(group.clients, stream('replace', change.id, change.html))
    }
  }

  const render = async (group: Group): Promise<{ id: string; html: string }[]> => {
    const region = (view: string, id: string, model: object) => ({ id, html: pages.render(view, group.reader, model) })
    const bar = barModel({ config })
    try {
      const model = await group.view.build({ config, background, root })
      lastGood = Date.now()
      follow(group, model.shownNumber)
      return [region('bar', 'bar', { bar }), ...group.view.regions.map(id => region(id, id, { ...model, bar }))]
    } catch (error) {
      // The page keeps what it has. While the database is away the bar says so; a task that was deleted is no fault.
      if (isAway(error)) return [region('bar', 'bar', { bar: { ...bar, databaseAwaySince: bar.databaseAwaySince ?? lastGood } })]
      if (!(error instanceof BgtaskError)) report(error)
      return [region('bar', 'bar', { bar })]
    } finally {
      group.tail?.pump()
    }
  }

  const follow = (group: Group, number: number | undefined) => {
    // All have left while the page was being made: nobody would close what is opened here.
    if (group.clients.size === 0) return
    if (group.view.taskId === null || number === undefined || number === 0 || group.tail?.number === number) return
    const before = group.tail
    before?.close()
    group.tail = openTail(
      config,
      group.view.taskId,
      number,
      (html, position) => {
        send(group.clients, stream('append', 'output', html, `${number}:${position}`))
      },
      report,
    )
    if (before) send(group.clients, stream('update', 'output', group.tail.all(), `${number}:${group.tail.position}`))
  }

  const catchUp = (group: Group, client: JoiningClient) => {
    for (const [id, { html }] of group.regions) write(client, stream('replace', id, html))
    catchUpOutput(group, client)
  }

  const catchUpOutput = ({ tail }: Group, client: JoiningClient) => {
    if (!tail) return
    tail.pump()
    if (client.seen !== `${tail.number}:${tail.position}`)
      write(client, stream('update', 'output', tail.all(), `${tail.number}:${tail.position}`))
  }

  const leave = (client: JoiningClient) => {
    clients.delete(client)
    for (const [key, group] of groups) {
      group.clients.delete(client)
      if (group.clients.size > 0) continue
      group.tail?.close()
      groups.delete(key)
    }
    if (clients.size === 0) pause()
  }

  /** Also what was ended by another process, the command line's say: the rows tell. */
  const checkReaders = async () => {
    for (const [hash, own] of Map.groupBy(clients, client => client.sessionHash)) {
      try {
        const session = await findSession(background.db, hash)
        const isOpen = session !== null && session.userId !== null && session.expiresAt > Date.now()
        const user = isOpen ? await findUserById(background.db, session.userId!) : null
        for (const client of own) if (!user || user.id !== client.reader.user?.id || user.role !== client.reader.user.role) part(client)
      } catch (error) {
        // Whoever was let in stays, until the database can be asked again.
        if (!isAway(error)) report(error)
        return
      }
    }
  }

  const endSession = (sessionHash: string) => {
    for (const client of clients) if (client.sessionHash === sessionHash) part(client)
  }

  /** Nothing more is said to that reader, also if it does not take what waits for it. */
  const part = (client: JoiningClient) => {
    leave(client)
    client.raw.end()
    setTimeout(() => client.raw.destroy(), liveLimits.partingMs).unref()
  }

  const write = (client: JoiningClient, text: string) => {
    if (client.raw.writableLength > liveLimits.waitingBytes) client.raw.destroy()
    else client.raw.write(text)
  }
  const send = (to: Set<JoiningClient>, text: string) => broadcast(to, text)
  const broadcast = (to: Set<JoiningClient>, text: string) => {
    for (const client of to) write(client, text)
  }

  return {
    streams: () => clients.size,
    hasRoom: hash =>
      clients.size < liveLimits.inAll && [...clients].filter(({ sessionHash }) => sessionHash === hash).length < liveLimits.perSession,
    join(client) {
      // A panel that is leaving may still be asked on a connection that was open: the next try finds its successor.
      if (closed) {
        client.raw.end('retry: 1000\n\n')
        return
      }
      const { language, times, user } = client.reader
      const key = JSON.stringify([language, times, user?.role, client.page])
      const known = groups.get(key)
      const group = known ?? {
        reader: { ...client.reader, theme: 'system' },
        view: createLiveView(client.page, root),
        clients: new Set(),
        regions: new Map(),
        mark: '',
        lookedAt: 0,
        tail: null,
      }
      groups.set(key, group)
      clients.add(client)
      group.clients.add(client)
      client.raw.once('close', () => leave(client))
      start()
      write(client, 'retry: 1000\n\n')
      if (known) catchUp(group, client)
      // What is made now is sent to all that are there, so also to this one.
      else refresh(group).then(() => group.clients.has(client) && catchUpOutput(group, client), report)
    },
    poke,
    endSession,
    close() {
      closed = true
      for (const client of [...clients]) part(client)
      pause()
    },
  }
}

/** A message that Turbo carries out; regions are morphed, so that focus, selection and scroll positions stay. */
const stream = (action: 'replace' | 'append' | 'update', target: string, html: string, id?: string) => {
  const method = action === 'replace' ? ' method="morph"' : ''
  const message = `<turbo-stream action="${action}"${method} target="${target}"><template>${html}</template></turbo-stream>`
  return `${id === undefined ? '' : `id: ${id}\n`}${message
    .split(/\r\n|\r|\n/)
    .map(line => `data: ${line}\n`)
    .join('')}\n`
}

const soonMs = 20

const inPieces = <Item>(items: readonly Item[], size: number): Item[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size))

/** Requests that have come in meanwhile are answered first. */
const nextTurn = () => new Promise<void>(resolve => setImmediate(resolve))
