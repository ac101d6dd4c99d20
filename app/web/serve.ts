import { closeSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { listeningOf, openRemedy, openSentence, requireSafeListening } from '../api/listening.ts'
import type { Config } from '../config.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { readPanel, removePanel } from '../runs/panel-file.ts'
import { handedDescriptor, stopAccepting, takeOver, tellTakenOver } from './hand-over.ts'
import { drain, type KeptPanel, keepPanel } from './kept-panel.ts'
import { panelAddress } from './panel-address.ts'
import { attendPanel, preparePanel } from './prepare-panel.ts'
import { buildServer } from './server.ts'
import { listenOnHanded, listenOnSocket } from './unix-socket.ts'

/** What a panel that reloads says to the one that it has started. */
export interface TakeOver {
  port: number
  /** Path of the Unix socket that it hands over, too; null when it has none. */
  socket: string | null
}

/**
 * Serves the panel until SIGTERM or SIGINT; prints where it is, and the first administrator's link while there is no user.
 * @param options.inBackground it says in panel.pid who it is, and SIGHUP reloads it. Default false
 * @param options.handed a panel in the background that reloads has started this one, and gives it what listens there
 * @throws BgtaskError `misconfigured`, `database-away`, or `busy` when the port is taken or another panel runs in the background
 */
export const serve = async (
  config: Config,
  { inBackground = false, handed = null }: { inBackground?: boolean; handed?: TakeOver | null } = {},
): Promise<void> => {
  requireSafeListening(config)
  if (inBackground) requireNoOther(config)
  const background = await preparePanel(config)
  const app = await buildServer(config, { background })
  const port = handed?.port ?? (await listen(app, config))
  let socket = handed ? null : await openSocket(app, config)
  const address = panelAddress({ ...config, port })
  console.log(`bgtask is at ${address}`)
  if (config.socket !== null) console.log(`Its API is at the Unix socket ${config.socket}, too.`)
  if (listeningOf(config) === 'open') console.error(`WARNING: ${openSentence(config)} ${openRemedy}`)
  // Before anything lies in the folder that has to go when we are asked to end.
  let isAsked = false
  const asked = new Promise<NodeJS.Signals>(resolve => {
    for (const name of ['SIGTERM', 'SIGINT'] as const)
      process.once(name, () => {
        isAsked = true
        resolve(name)
      })
  })
  const attending = await attendPanel(background, address)
  const drainAll = async () => {
    app.endStreams()
    // What came to a socket before its name was another's is taken first.
    await nextTurn()
    await Promise.all([drain(app.server), ...(socket ? [drain(socket.server)] : [])])
  }
  if (handed) {
    if (config.port !== 0 && config.port !== port)
      console.error(`PORT is ${config.port} now, which takes a restart: a reload stays on ${port}.`)
    await app.ready()
    // All that can fail comes before the first request that would be lost with us.
    socket = await takeOverSocket(app, config, handed)
    await takeOver(app.server)
  }
  let kept: KeptPanel | null = null
  let isOurs = handed === null
  if (inBackground || handed) {
    const { address: host } = app.server.address() as AddressInfo
    const listening = { server: app.server, port, socket }
    try {
      kept = keepPanel(config.runtime, listening, { address, host, port })
    } catch (error) {
      if (handed) await Promise.race([drainAll(), wait(leaveMs)])
      throw error
    }
  }
  if (handed && !isAsked) {
    isOurs = true
    tellTakenOver()
    if (handed.socket !== null && handed.socket !== config.socket) rmSync(handed.socket, { force: true })
  }

  const signal = await Promise.race([asked, ...(kept ? [kept.handedOver] : [])])
  if (signal) {
    console.log(`${signal}: the panel stops; the supervisor goes on.`)
    kept?.abandon()
  } else {
    isOurs = false
    await Promise.race([asked, drainAll()])
  }
  // Whatever hangs on to a connection, the process is gone within three seconds.
  setTimeout(() => process.exit(exitCodes.done), leaveMs).unref()
  // The one that was to hand over goes on, and what has come to us meanwhile must not be lost.
  if (signal && !isOurs) await drainAll()
  const closed = app.close()
  if (isOurs) socket?.remove()
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

const leaveMs = 2_500

const requireNoOther = ({ runtime }: Config) => {
  const other = readPanel(runtime)
  if (other) throw new BgtaskError('busy', `The panel runs in the background already (process ${other.pid}, ${other.address}).`)
}

const openSocket = async (app: FastifyInstance, { socket, socketMode }: Config) =>
  socket === null ? null : listenOnSocket({ socket, socketMode }, app.routing)

/** The one that we were handed, if it is still where the configuration wants it; else a new one. */
const takeOverSocket = async (app: FastifyInstance, config: Config, handed: TakeOver) => {
  const { socket, socketMode } = config
  if (handed.socket === null) return openSocket(app, config)
  const same = socket === handed.socket ? await listenOnHanded(handedDescriptor, { socket, socketMode }, app.routing) : null
  if (same) return same
  closeSync(handedDescriptor)
  return openSocket(app, config)
}

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
