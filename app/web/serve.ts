import { audited } from '../api/audited.ts'
import { startAudited } from '../api/audited-loop.ts'
import { type Background, openBackground } from '../api/background.ts'
import { listeningOf, openRemedy, openSentence, requireSafeListening } from '../api/listening.ts'
import { createConfiguredAdmin } from '../api/users.ts'
import { faultOf } from '../catalog/action-entry.ts'
import type { Config } from '../config.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { writeDatabaseUrl } from '../runs/database-url-file.ts'
import { prepareRuntimeFolder } from '../runs/runtime-folder.ts'
import type { Db } from '../store/database.ts'
import { pruneLoginFailures } from '../store/login-throttle.ts'
import { pruneOnceLinks } from '../store/once-links.ts'
import { pruneSessions } from '../store/sessions.ts'
import { anyUser } from '../store/users.ts'
import { makeFirstLink, onceLinkMs, removeFirstRun, writeFirstRun } from './first-link.ts'
import { forgottenMs } from './login-wait.ts'
import { panelAddress } from './panel-address.ts'
import { buildServer } from './server.ts'

/**
 * Serves the panel until SIGTERM or SIGINT; prints where it is, and the first administrator's link while there is no user.
 * @throws BgtaskError `misconfigured`, `database-away`, or `busy` when the port is taken
 */
export const serve = async (config: Config): Promise<void> => {
  requireSafeListening(config)
  prepareRuntimeFolder(config.runtime)
  const background = await openBackground(config)
  // Debug runs have no DATABASE_URL in their environment; they find it here.
  writeDatabaseUrl(config.runtime, config.databaseUrl)
  if (config.adminPassword !== null && !(await anyUser(background.db))) {
    await audited(background.db, { name: null, ip: null, via: 'panel' }, { act: 'first-user', subject: 'admin' }, () =>
      createConfiguredAdmin(background.db, config),
    )
  }
  const app = await buildServer(config, { background })
  const port = await listen(app, config)
  const address = panelAddress({ ...config, port })
  console.log(`bgtask is at ${address}`)
  if (listeningOf(config) === 'open') console.error(`WARNING: ${openSentence(config)} ${openRemedy}`)
  // Before anything lies in the folder that has to go when we are asked to end.
  const asked = new Promise<NodeJS.Signals>(resolve => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve)
  })
  const firstLink = await showFirstLink(background.db, config.runtime, address)
  if (config.autostart) await autostart(background)
  void reportActions(background)
  const prune = setInterval(() => void forgetOld(background.db), 600_000).unref()

  const signal = await asked
  console.log(`${signal}: the panel stops; the loop goes on.`)
  clearInterval(prune)
  firstLink.end()
  // Whatever hangs on to a connection, the process is gone within three seconds.
  setTimeout(() => process.exit(exitCodes.done), 2_500).unref()
  await app.close()
  await background.close()
  process.exit(exitCodes.done)
}

const listen = async (app: Awaited<ReturnType<typeof buildServer>>, { host, port }: Config): Promise<number> => {
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

/** An action that does not load harms no other, but somebody should know. In the background: one that hangs while it loads takes a while. */
const reportActions = async (background: Background) => {
  try {
    const { entries, refused } = await background.catalog()
    for (const entry of entries) if (entry.error) console.error(`The action ${entry.name} ${faultOf(entry)}`)
    for (const { file, why } of refused) console.error(`${file} ${why}`)
  } catch (error) {
    console.error(`The actions in ${background.config.actions.join(' and ')} could not be listed: ${messageOf(error)}`)
  }
}

const autostart = async (background: Background) => {
  try {
    const { started, sentence } = await startAudited(background, { name: null, ip: null, via: 'panel' })
    if (started) console.log(sentence)
  } catch (error) {
    // The panel is there to say so, and to start it when it is mended.
    console.error(`The loop could not be started: ${messageOf(error)}`)
  }
}

/** Prints the first administrator's link while there is no user, and keeps it in runtime/first-run as long as it is good. */
const showFirstLink = async (db: Db, runtime: string, address: string): Promise<{ end(): void }> => {
  const path = await makeFirstLink(db)
  if (path === null) {
    // Left by a panel that was killed.
    removeFirstRun(runtime)
    return { end: () => {} }
  }
  const link = `${address}${path}`
  writeFirstRun(runtime, link)
  console.log(`First administrator, once and within 15 minutes: ${link}`)
  const expiry = setTimeout(() => removeFirstRun(runtime, link), onceLinkMs).unref()
  return {
    end: () => {
      clearTimeout(expiry)
      removeFirstRun(runtime, link)
    },
  }
}

const forgetOld = async (db: Db) => {
  try {
    await pruneSessions(db, Date.now())
    await pruneLoginFailures(db, Date.now() - forgottenMs)
    // A day longer than they are good: who comes too late is told so, and not that the link is unknown.
    await pruneOnceLinks(db, Date.now() - 86_400_000)
  } catch (error) {
    console.error(`Old sessions could not be forgotten: ${messageOf(error)}. It is tried again in ten minutes.`)
  }
}
