import { once } from 'node:events'
import { chmodSync, lstatSync, renameSync, rmSync, type Stats } from 'node:fs'
import type { RequestListener, Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import type { FastifyRequest } from 'fastify'
import { longestSocketPath } from '../config.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { createHttpServer } from './http-server.ts'

export interface UnixSocket {
  server: Server
  path: string
  /** Takes the file away, unless it is another's by now. */
  remove(): void
}

/**
 * Listens on a socket that another process has made and handed to this one, so that its file answers at any moment.
 * @returns null when the file is not there any more: a new one has to be made
 * @throws BgtaskError as listenOnSocket
 */
export const listenOnHanded = async (
  descriptor: number,
  { socket: path, socketMode: mode }: { socket: string; socketMode: number },
  handler: RequestListener,
): Promise<UnixSocket | null> => {
  const stat = requireOurs(path)
  if (!stat) return null
  const server = serverOf(handler)
  try {
    server.listen({ fd: descriptor })
    await once(server, 'listening')
    if ((stat.mode & 0o777) !== mode) chmodSync(path, mode)
    return { server, path, remove: () => removeFile(path, stat) }
  } catch (error) {
    server.close()
    throw cannot(path, error)
  }
}

/**
 * Listens on a socket file, whose permissions say who may come in. It is made with them, so nobody finds it open for a moment, and under another
 * name first, so that what a killed process has left there is replaced in one step.
 * @throws BgtaskError `busy` when another process listens there; `misconfigured` when something else lies there, or nothing can be made there
 */
export const listenOnSocket = async (
  { socket: path, socketMode: mode }: { socket: string; socketMode: number },
  handler: RequestListener,
): Promise<UnixSocket> => {
  requireOurs(path)
  if (await isAnswered(path))
    throw new BgtaskError('busy', `Another process listens on ${path}: stop it (ss -xlp names it), or set BGTASK_SOCKET to another path.`)
  const server = serverOf(handler)
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
    const made = lstatSync(temporary)
    renameSync(temporary, path)
    return { server, path, remove: () => removeFile(path, made) }
  } catch (error) {
    server.close()
    rmSync(temporary, { force: true })
    throw cannot(path, error)
  }
}

const serverOf = (handler: RequestListener): Server => {
  const server = createHttpServer(handler, { secure: false })
  server.on('connection', (socket: Socket) => {
    overSocket.add(socket)
  })
  return server
}

const removeFile = (path: string, { ino, dev }: { ino: number; dev: number }) => {
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (there && there.ino === ino && there.dev === dev) rmSync(path, { force: true })
}

/** Whether it came by the socket file. By who accepted it and not by its addresses: those of a connection that was cut are gone, too. */
export const isOverSocket = ({ raw }: Pick<FastifyRequest, 'raw'>): boolean => overSocket.has(raw.socket)
const overSocket = new WeakSet<object>()

/** @returns what lies there: a socket of this user, or undefined when nothing does */
const requireOurs = (path: string): Stats | undefined => {
  if (Buffer.byteLength(path) > longestSocketPath)
    throw new BgtaskError('misconfigured', `BGTASK_SOCKET is longer than ${longestSocketPath} bytes; take a shorter path.`)
  let stat: Stats | undefined
  try {
    stat = lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw cannot(path, error)
  }
  if (!stat) return undefined
  const what = stat.isSymbolicLink() ? 'is a symbolic link' : stat.isSocket() ? null : 'is no socket'
  if (what !== null)
    throw new BgtaskError(
      'misconfigured',
      `${path} ${what}, and is left alone. Remove it if nobody needs it, or set BGTASK_SOCKET to another path.`,
    )
  if (process.getuid && stat.uid !== process.getuid())
    throw new BgtaskError('misconfigured', `${path} belongs to user ${stat.uid}, and is left alone. Set BGTASK_SOCKET to another path.`)
  return stat
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
