import { type ChildProcess, spawn } from 'node:child_process'
import { Server } from 'node:net'
import { BgtaskError } from '../errors.ts'
import { launcher } from '../paths.ts'

/** How long a new panel may take until it answers. Milliseconds. */
export const startMs = 30_000

/** What a panel listens on. */
export interface Listening {
  server: Server
  port: number
  /** The Unix socket of the API, if there is one. */
  socket: { server: Server; path: string } | null
}

/**
 * Starts a new `serve` and gives it the listening sockets. When this is done both accept connections on them: none is refused in between.
 * @param options.signal aborted when this panel is to end: the new one, which nobody asked for any more, is asked to end as well
 * @returns the new process, which answers requests
 * @throws Error why it did not come to that; it is gone then, or leaves by itself, and the sockets are as they were
 */
export const handOver = async ({ server, port, socket }: Listening, { signal }: { signal: AbortSignal }): Promise<ChildProcess> => {
  // The one process that gets ours: it is the same panel, configured by what this one was started with.
  const env = { ...process.env }
  const told = ['serve', '--take-over', String(port), ...(socket ? ['--take-over-socket', socket.path] : [])]
  const child = spawn(process.execPath, [...process.execArgv, launcher, ...told], {
    cwd: process.cwd(),
    env,
    detached: true,
    // By a message Node gives away servers of ports, and none of files.
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...(socket ? [descriptorOf(socket.server)] : [])],
  })
  let late: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      late = setTimeout(() => reject(new Error(`the new panel was not ready within ${startMs / 1000} s`)), startMs)
      child.once('error', reject)
      child.once('exit', (code, signal) => reject(new Error(`the new panel ended with ${signal ?? `exit code ${code}`}`)))
      signal.addEventListener('abort', () => {
        child.kill('SIGTERM')
        reject(new Error('this one was asked to end'))
      })
      child.on('message', said => {
        // A message that cannot be sent: it has just ended, and `exit` tells how.
        if (said === 'ready') child.send('listen', server, () => {})
        if (said === 'listening') resolve()
      })
    })
    child.removeAllListeners('exit')
    if (child.connected) child.disconnect()
    child.unref()
    return child
  } catch (error) {
    if (!signal.aborted) child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(late)
  }
}

/** Node has no public name for it. */
const descriptorOf = (server: Server) => (server as unknown as { _handle: { fd: number } })._handle.fd

/**
 * The other side: takes the socket from the panel that started this one. Whatever can fail has to be done before.
 * @throws BgtaskError `failed` when that panel is gone, and `usage` when none started this process
 */
export const takeOver = (server: Server): Promise<void> =>
  new Promise((resolve, reject) => {
    if (!process.send) return reject(new BgtaskError('usage', '--take-over is for a panel that reloads; use: serve, or panel reload.'))
    const gone = () => reject(new BgtaskError('failed', 'The panel that was to hand over its socket is gone.'))
    process.once('disconnect', gone)
    process.once('message', (_said, socket) => {
      process.off('disconnect', gone)
      server.once('error', reject)
      // Node has it listen already: in this very turn, before a connection comes in, it becomes ours.
      server.listen(socket as Server, resolve)
    })
    process.send('ready', undefined, undefined, error => {
      if (error) gone()
    })
  })

/** Where the Unix socket of the panel that started this one is found, if that has one. */
export const handedDescriptor = 4

/** Tells that panel that it may leave. It closes the channel then; or it is gone, and we go on alone. */
export const tellTakenOver = (): void => {
  process.send?.('listening', undefined, undefined, () => {})
}

/** Stops accepting, without touching a connection: Node's HTTP server would close those that wait for their next request, which may be on its way. */
export const stopAccepting = (server: Server): void => {
  Server.prototype.close.call(server)
}
