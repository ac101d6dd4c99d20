import type { FastifyInstance } from 'fastify'
import { listeningOf, openRemedy, openSentence, requireSafeListening } from '../api/listening.ts'
import type { Config } from '../config.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { panelAddress } from './panel-address.ts'
import { attendPanel, preparePanel } from './prepare-panel.ts'
import { buildServer } from './server.ts'

/**
 * Serves the panel until SIGTERM or SIGINT; prints where it is, and the first administrator's link while there is no user.
 * @throws BgtaskError `misconfigured`, `database-away`, or `busy` when the port is taken
 */
export const serve = async (config: Config): Promise<void> => {
  requireSafeListening(config)
  const background = await preparePanel(config)
  const app = await buildServer(config, { background })
  const port = await listen(app, config)
  const address = panelAddress({ ...config, port })
  console.log(`bgtask is at ${address}`)
  if (listeningOf(config) === 'open') console.error(`WARNING: ${openSentence(config)} ${openRemedy}`)
  // Before anything lies in the folder that has to go when we are asked to end.
  const asked = new Promise<NodeJS.Signals>(resolve => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve)
  })
  const attending = await attendPanel(background, address)

  const signal = await asked
  console.log(`${signal}: the panel stops; the loop goes on.`)
  // Whatever hangs on to a connection, the process is gone within three seconds.
  setTimeout(() => process.exit(exitCodes.done), 2_500).unref()
  await Promise.all([attending.end(), app.close()])
  await background.close()
  process.exit(exitCodes.done)
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
