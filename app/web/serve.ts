import { type Background, openBackground } from '../api/background.ts'
import { startLoop } from '../api/start-loop.ts'
import { createConfiguredAdmin } from '../api/users.ts'
import type { Config } from '../config.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { writeDatabaseUrl } from '../runs/database-url-file.ts'
import { prepareRuntimeFolder } from '../runs/runtime-folder.ts'
import { pruneSessions } from '../store/sessions.ts'
import { makeFirstLink } from './first-link.ts'
import { buildServer } from './server.ts'

/**
 * Serves the panel until SIGTERM or SIGINT; prints where it is, and the first administrator's link while there is no user.
 * @throws BgtaskError `misconfigured`, `database-away`, or `busy` when the port is taken
 */
export const serve = async (config: Config): Promise<void> => {
  prepareRuntimeFolder(config.runtime)
  const background = await openBackground(config)
  // Debug runs have no DATABASE_URL in their environment; they find it here.
  writeDatabaseUrl(config.runtime, config.databaseUrl)
  await createConfiguredAdmin(background.db, config)
  const app = await buildServer(config, { background })
  const port = await listen(app, config)
  const address =
    config.publicUrl ??
    `http://${config.host.includes(':') ? `[${config.host}]` : config.host === '0.0.0.0' ? '127.0.0.1' : config.host}:${port}`
  console.log(`bgtask is at ${address}/admin`)
  const link = await makeFirstLink(background.db)
  if (link) console.log(`First administrator, once and within 15 minutes: ${address}${link}`)
  if (config.autostart) await autostart(config)
  void reportActions(background)
  const prune = setInterval(() => void forgetOldSessions(background.db), 600_000).unref()

  const signal = await new Promise<NodeJS.Signals>(resolve => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve)
  })
  console.log(`${signal}: the panel stops; the loop goes on.`)
  clearInterval(prune)
  // Whatever hangs on to a connection, the process is gone within three seconds.
  setTimeout(() => process.exit(exitCodes.done), 2_500).unref()
  await app.close()
  await background.close()
  process.exit(exitCodes.done)
}

const listen = async (app: Awaited<ReturnType<typeof buildServer>>, { host, port }: Config): Promise<number> => {
  try {
    const address = await app.listen({ host, port })
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

/** An action that does not load harms no other, but somebody should know. In the background: one that hangs while it loads takes a while. */
const reportActions = async (background: Background) => {
  try {
    const { entries } = await background.catalog()
    for (const { name, error } of entries) if (error) console.error(`The action ${name} does not load: ${error}`)
  } catch (error) {
    console.error(`The actions in ${background.config.actions} could not be listed: ${messageOf(error)}`)
  }
}

const autostart = async (config: Config) => {
  try {
    const { started, sentence } = await startLoop(config, { by: 'serve' })
    if (started) console.log(sentence)
  } catch (error) {
    // The panel is there to say so, and to start it when it is mended.
    console.error(`The loop could not be started: ${messageOf(error)}`)
  }
}

const forgetOldSessions = async (db: Parameters<typeof pruneSessions>[0]) => {
  try {
    await pruneSessions(db, Date.now())
  } catch (error) {
    console.error(`Old sessions could not be forgotten: ${messageOf(error)}. It is tried again in ten minutes.`)
  }
}
