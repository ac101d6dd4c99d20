import { once } from 'node:events'
import { lstatSync, renameSync, rmSync } from 'node:fs'
import type { RequestListener, Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import type { FastifyRequest } from 'fastify'
import { longestSocketPath } from '../config.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { createHttpServer } from './http-server.ts'

export interface UnixSocket {
  server: Server
  /** Takes the file away, unless it is another's by now. */
  remove(): void
}

/**
 * Listens on a socket file, whose permissions say who may come in. It is made with them, so nobody finds it open for a moment, and under another
 * name first, so that what a killed process has left there is replaced in one step.
 * @param options.takeOver the process that listens there now is leaving, and we are in its place. Default false
 * @throws BgtaskError `busy` when another process listens there; `misconfigured` when something else lies there, or nothing can be made there
 */
export const listenOnSocket = async (
  { socket: path, socketMode: mode }: { socket: string; socketMode: number },
  handler: RequestListener,
  { takeOver = false }: { takeOver?: boolean } = {},
): Promise<UnixSocket> => {
  await requireFree(path, takeOver)
  const server = createHttpServer(handler, { secure: false })
  server.on('connection', (socket: Socket) => {
    overSocket.add(socket)
  })
  const temporary = `${path}.${process.pid}`
  try {
    rmSync(temporary, { force: true })
    const listening = once(server, 'listening')
    // Node binds before it returns, so nothing else is made under this mask.
    const before = process.umask(0o777 & ~mode)
    try {
      server.listen(temporary)
    } finally {
      process.umask(before)
    }
    await listening
    const { ino, dev } = lstatSync(temporary)
    renameSync(temporary, path)
    return {
      server,
      remove: () => {
        const there = lstatSync(path, { throwIfNoEntry: false })
        if (there && there.ino === ino && there.dev === dev) rmSync(path, { force: true })
      },
    }
  } catch (error) {
    server.close()
    rmSync(temporary, { force: true })
    throw cannot(path, error)
  }
}

/** Whether it came by the socket file. By who accepted it and not by its addresses: those of a connection that was cut are gone, too. */
export const isOverSocket = ({ raw }: Pick<FastifyRequest, 'raw'>): boolean => overSocket.has(raw.socket)
const overSocket = new WeakSet<object>()

const requireFree = async (path: string, takeOver: boolean) => {
  if (Buffer.byteLength(path) > longestSocketPath)
    throw new BgtaskError('misconfigured', `BGTASK_SOCKET is longer than ${longestSocketPath} bytes; take a shorter path.`)
  let stat: ReturnType<typeof lstatSync> | undefined
  try {
    stat = lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw cannot(path, error)
  }
  if (!stat) return
  const what = stat.isSymbolicLink() ? 'is a symbolic link' : stat.isSocket() ? null : 'is no socket'
  if (what !== null)
    throw new BgtaskError(
      'misconfigured',
      `${path} ${what}, and is left alone. Remove it if nobody needs it, or set BGTASK_SOCKET to another path.`,
    )
  if (process.getuid && stat.uid !== process.getuid())
    throw new BgtaskError('misconfigured', `${path} belongs to user ${stat.uid}, and is left alone. Set BGTASK_SOCKET to another path.`)
  if (!takeOver && (await isAnswered(path)))
    throw new BgtaskError('busy', `Another process listens on ${path}: stop it (ss -xlp names it), or set BGTASK_SOCKET to another path.`)
}

const isAnswered = async (path: string): Promise<boolean> => {
  const probe = connect(path)
  try {
    await once(probe, 'connect')
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED' || (error as NodeJS.ErrnoException).code === 'ENOENT') return false
    // Its queue is full: it lives.
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return true
    throw cannot(path, error)
  } finally {
    probe.destroy()
  }
}

const cannot = (path: string, error: unknown) =>
  new BgtaskError(
    'misconfigured',
    `The API cannot listen on ${path} (${messageOf(error)}). The folder ${dirname(path)} must be there, and this user must be allowed to write in it.`,
    { cause: error },
  )
