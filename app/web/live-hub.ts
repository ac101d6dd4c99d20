import { type FSWatcher, watch } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { basename } from 'node:path'
import type { Background } from '../api/background.ts'
import type { Config } from '../config.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { isAway } from '../store/is-away.ts'
import { findSession } from '../store/sessions.ts'
import { createLiveView, type LiveView } from './live-view.ts'
import { type OutputTail, openTail } from './output-tail.ts'
import type { Pages, Reader } from './render.ts'
import { barModel } from './reply.ts'

/** Keeps the open pages up to date: rows are read once a second for all of them together, and a region is sent when it has changed. */
export interface LiveHub {
  /** Whether one more stream is allowed: 4 for a session, 200 in all. */
  hasRoom(sessionHash: string): boolean
  join(client: JoiningClient): void
  /** Looks again at once: something was just changed here. */
  poke(): void
  /** Ends the streams of a session that is over. */
  endSession(sessionHash: string): void
  close(): void
}

interface LiveTools {
  config: Config
  background: Background
  pages: Pages
  report: (error: unknown) => void
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

const pollMs = 1_000
const mostOften = 150
const heartbeatMs = 15_000
const sessionCheckMs = 30_000
const mostPerSession = 4
const mostInAll = 200
/** A reader that takes nothing is dropped when this much waits for it. */
const mostWaitingBytes = 1_000_000

interface Group {
  reader: Reader
  view: LiveView
  clients: Set<JoiningClient>
  /** Last rendered HTML by region, and that text without what changes by the mere passing of time. */
  regions: Map<string, { html: string; essence: string }>
  tail: OutputTail | null
}

/** @param tools.report told of what should not have happened; it ends no stream and no process */
export const createLiveHub = ({ config, background, pages, report }: LiveTools): LiveHub => {
  const groups = new Map<string, Group>()
  const clients = new Set<JoiningClient>()
  let poll: NodeJS.Timeout | undefined
  let beat: NodeJS.Timeout | undefined
  let check: NodeJS.Timeout | undefined
  let watcher: FSWatcher | undefined
  let soon: NodeJS.Timeout | undefined
  let lookedAt = 0
  let looking = false
  let lastGood = Date.now()

  const start = () => {
    poll ??= setInterval(look, pollMs)
    beat ??= setInterval(() => broadcast(clients, ': beat\n\n'), heartbeatMs)
    check ??= setInterval(checkSessions, sessionCheckMs)
    const watched = basename(runtimePaths(config.runtime).pid)
    watcher ??= watch(config.runtime, (_event, name) => {
      if (name === watched) poke()
    }).on('error', error => report(new Error(`${config.runtime} is not watched any more (${messageOf(error)}); pages follow by polling`)))
  }

  const pause = () => {
    for (const timer of [poll, beat, check, soon]) clearTimeout(timer)
    watcher?.close()
    poll = beat = check = soon = watcher = undefined
  }

  const look = async () => {
    if (looking) return
    looking = true
    lookedAt = Date.now()
    try {
      await Promise.all([...groups.values()].map(refresh))
    } catch (error) {
      report(error)
    } finally {
      looking = false
    }
  }

  const poke = () => {
    if (clients.size === 0 || soon !== undefined) return
    soon = setTimeout(
      () => {
        soon = undefined
        void look()
      },
      Math.max(20, mostOften - (Date.now() - lookedAt)),
    )
  }

  const refresh = async (group: Group) => {
    for (const { id, html } of await render(group)) {
      const essence = withoutTimes(html)
      if (group.regions.get(id)?.essence === essence) continue
      group.regions.set(id, { html, essence })
      send(group.clients, stream('replace', id, html))
    }
  }

  const render = async (group: Group): Promise<{ id: string; html: string }[]> => {
    const part = (view: string, id: string, model: object) => ({ id, html: pages.render(view, group.reader, model) })
    const bar = barModel({ config })
    try {
      const model = await group.view.build({ config, background })
      lastGood = Date.now()
      follow(group, model.shownNumber)
      return [part('bar', 'bar', { bar }), ...group.view.regions.map(id => part(id, id, { ...model, bar }))]
    } catch (error) {
      // The page keeps what it has. While the database is away the bar says so; a task that was deleted is no fault.
      if (isAway(error)) return [part('bar', 'bar', { bar: { ...bar, databaseAwaySince: bar.databaseAwaySince ?? lastGood } })]
      if (!(error instanceof BgtaskError)) report(error)
      return [part('bar', 'bar', { bar })]
    } finally {
      group.tail?.pump()
    }
  }

  const follow = (group: Group, number: number | undefined) => {
    if (group.view.taskId === null || number === undefined || number === 0 || group.tail?.number === number) return
    const before = group.tail
    before?.close()
    group.tail = openTail(
      config.runtime,
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
    const { tail } = group
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

  const checkSessions = async () => {
    for (const hash of new Set([...clients].map(client => client.sessionHash))) {
      try {
        const session = await findSession(background.db, hash)
        if (!session || session.expiresAt <= Date.now()) endSession(hash)
      } catch {
        return // the database is away: whoever was let in stays, until it can be asked again
      }
    }
  }

  const endSession = (sessionHash: string) => {
    for (const client of clients) if (client.sessionHash === sessionHash) client.raw.end()
  }

  const write = (client: JoiningClient, text: string) => {
    if (client.raw.writableLength > mostWaitingBytes) client.raw.destroy()
    else client.raw.write(text)
  }
  const send = (to: Set<JoiningClient>, text: string) => broadcast(to, text)
  const broadcast = (to: Set<JoiningClient>, text: string) => {
    for (const client of to) write(client, text)
  }

  return {
    hasRoom: hash => clients.size < mostInAll && [...clients].filter(({ sessionHash }) => sessionHash === hash).length < mostPerSession,
    join(client) {
      const { language, user } = client.reader
      const key = JSON.stringify([language, user?.role, client.page])
      const known = groups.get(key)
      const group = known ?? {
        reader: { ...client.reader, theme: 'system' },
        view: createLiveView(client.page),
        clients: new Set(),
        regions: new Map(),
        tail: null,
      }
      groups.set(key, group)
      clients.add(client)
      group.clients.add(client)
      client.raw.once('close', () => leave(client))
      start()
      write(client, 'retry: 1000\n\n')
      if (known) catchUp(group, client)
      else refresh(group).then(() => group.clients.has(client) && catchUp(group, client), report)
    },
    poke,
    endSession,
    close() {
      for (const client of clients) client.raw.end()
      for (const group of groups.values()) group.tail?.close()
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

const withoutTimes = (html: string) => html.replace(/(<time[^>]*>)[^<]*/g, '$1')
