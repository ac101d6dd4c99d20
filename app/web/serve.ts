import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { listeningOf, openRemedy, openSentence, requireSafeListening } from '../api/listening.ts'
import type { Config } from '../config.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { readPanel, removePanel } from '../runs/panel-file.ts'
import { stopAccepting, takeOver, tellTakenOver } from './hand-over.ts'
import { drain, keepPanel } from './kept-panel.ts'
import { panelAddress } from './panel-address.ts'
import { attendPanel, preparePanel } from './prepare-panel.ts'
import { buildServer } from './server.ts'
import { listenOnSocket } from './unix-socket.ts'

/**
 * Serves the panel until SIGTERM or SIGINT; prints where it is, and the first administrator's link while there is no user.
 * @param options.inBackground it says in panel.pid who it is, and SIGHUP reloads it. Default false
 * @param options.takeOverPort a panel in the background that reloads has started this one, and gives it the socket that listens there
 * @throws BgtaskError `misconfigured`, `database-away`, or `busy` when the port is taken or another panel runs in the background
 */
export const serve = async (
  config: Config,
  { inBackground = false, takeOverPort = null }: { inBackground?: boolean; takeOverPort?: number | null } = {},
): Promise<void> => {
  requireSafeListening(config)
  if (inBackground) requireNoOther(config)
  const background = await preparePanel(config)
  const app = await buildServer(config, { background })
  const port = takeOverPort ?? (await listen(app, config))
  let socket = takeOverPort === null ? await openSocket(app, config) : null
  const address = panelAddress({ ...config, port })
  console.log(`bgtask is at ${address}`)
  if (socket) console.log(`Its API is at the Unix socket ${config.socket}, too.`)
  if (listeningOf(config) === 'open') console.error(`WARNING: ${openSentence(config)} ${openRemedy}`)
  // Before anything lies in the folder that has to go when we are asked to end.
  const asked = new Promise<NodeJS.Signals>(resolve => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve)
  })
  const attending = await attendPanel(background, address)
  let handedOver = new Promise<void>(() => {})
  if (takeOverPort !== null) {
    if (config.port !== 0 && config.port !== port)
      console.error(`PORT is ${config.port} now, which takes a restart: a reload stays on ${port}.`)
    await app.ready()
    await takeOver(app.server)
    // Last of what can fail: from here on the socket's name is ours.
    socket = await openSocket(app, config, { takeOver: true })
  }
  if (inBackground || takeOverPort !== null) {
    const { address: host } = app.server.address() as AddressInfo
    handedOver = keepPanel(config.runtime, app.server, { address, host, port })
  }
  if (takeOverPort !== null) tellTakenOver()

  const signal = await Promise.race([asked, handedOver])
  if (signal) console.log(`${signal}: the panel stops; the loop goes on.`)
  else {
    app.endStreams()
    // What came to the socket before its name was another's is taken first.
    await nextTurn()
    await Promise.race([asked, Promise.all([drain(app.server), ...(socket ? [drain(socket.server)] : [])])])
  }
  // Whatever hangs on to a connection, the process is gone within three seconds.
  setTimeout(() => process.exit(exitCodes.done), 2_500).unref()
  const closed = app.close()
  socket?.remove()
  for (const server of [app.server, ...(socket ? [socket.server] : [])]) {
    // Fastify closes what it has made listen itself.
    stopAccepting(server)
    server.closeAllConnections()
  }
  await Promise.all([attending.end(), closed])
  await background.close()
  removePanel(config.runtime, process.pid)
  process.exit(exitCodes.done)
}

const requireNoOther = ({ runtime }: Config) => {
  const other = readPanel(runtime)
  if (other) throw new BgtaskError('busy', `The panel runs in the background already (process ${other.pid}, ${other.address}).`)
}

const openSocket = async (app: FastifyInstance, { socket, socketMode }: Config, options: { takeOver?: boolean } = {}) =>
  socket === null ? null : listenOnSocket({ socket, socketMode }, app.routing, options)

const listen = async (app: FastifyInstance, { host, port }: Config): Promise<number> => {
  try {
    // Of this name only what it means: a file of names may have another address for it.
    const address = await app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port })
    return Number(new URL(address).port) || 80
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new BgtaskError(
        'busy',
        `Port ${port} on ${host} is taken: stop what listens there (ss -ltnp 'sport = :${port}' names it), or set PORT to another one.`,
        {
          cause: error,
        },
      )
    }
    throw new BgtaskError(
      'misconfigured',
      `The panel cannot listen on ${host}:${port} (${messageOf(error)}). Set HOST and PORT to an address of this machine.`,
      {
        cause: error,
      },
    )
  }
}
