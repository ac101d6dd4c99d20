import { type ChildProcess, spawn } from 'node:child_process'
import { Server } from 'node:net'
import { BgtaskError } from '../errors.ts'
import { launcher } from '../paths.ts'

/** How long a new panel may take until it answers. Milliseconds. */
export const startMs = 30_000

/**
 * Starts a new `serve` and gives it the listening socket. When this is done both accept connections on it: none is refused in between.
 * @returns the new process, which answers requests
 * @throws Error why it did not come to that; it is gone then, and the socket is as it was
 */
export const handOver = async (server: Server, port: number): Promise<ChildProcess> => {
  // The one process that gets ours: it is the same panel, configured by what this one was started with.
  const env = { ...process.env }
  const child = spawn(process.execPath, [...process.execArgv, launcher, 'serve', '--take-over', String(port)], {
    cwd: process.cwd(),
    env,
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let late: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      late = setTimeout(() => reject(new Error(`the new panel was not ready within ${startMs / 1000} s`)), startMs)
      child.once('error', reject)
      child.once('exit', (code, signal) => reject(new Error(`the new panel ended with ${signal ?? `exit code ${code}`}`)))
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
    child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(late)
  }
}

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
    process.send('ready')
  })

/** Tells that panel that it may leave. */
export const tellTakenOver = (): void => {
  process.send?.('listening')
  // It closes the channel; or it is gone, and we go on alone.
}
/** Stops accepting, without touching a connection: Node's HTTP server would close those that wait for their next request, which may be on its way. */
export const stopAccepting = (server: Server): void => {
  Server.prototype.close.call(server)
}
