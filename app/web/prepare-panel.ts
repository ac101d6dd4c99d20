import { audited } from '../api/audited.ts'
import { startAudited } from '../api/audited-loop.ts'
import { type Background, openBackground } from '../api/background.ts'
import { createConfiguredAdmin } from '../api/users.ts'
import { faultOf } from '../catalog/action-entry.ts'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { writeDatabaseUrl } from '../runs/database-url-file.ts'
import { prepareRuntimeFolder } from '../runs/runtime-folder.ts'
import type { Db } from '../store/database.ts'
import { pruneLoginFailures } from '../store/login-throttle.ts'
import { pruneOnceLinks } from '../store/once-links.ts'
import { pruneSessions } from '../store/sessions.ts'
import { anyUser } from '../store/users.ts'
import { makeFirstLink, onceLinkMs, removeFirstRun, writeFirstRun } from './first-link.ts'
import { forgottenMs } from './login-wait.ts'
import { watchSupervisor } from './watch-supervisor.ts'

/**
 * What a panel stands on before it is built: the runtime folder, the database, the configured administrator.
 * @throws BgtaskError `misconfigured`, `database-away`
 */
export const preparePanel = async (config: Config): Promise<Background> => {
  prepareRuntimeFolder(config.runtime)
  const background = await openBackground(config)
  // Debug runs have no DATABASE_URL in their environment; they find it here.
  writeDatabaseUrl(config.runtime, config.databaseUrl)
  if (config.adminPassword !== null && !(await anyUser(background.db))) {
    await audited(background.db, { name: null, ip: null, via: 'panel' }, { act: 'first-user', subject: 'admin' }, () =>
      createConfiguredAdmin(background.db, config),
    )
  }
  return background
}

export interface Attending {
  /** The application listens there now (`http://127.0.0.1:3000`): a link that was told without its host is told again, whole. */
  listensAt(origin: string): void
  /** Waits until nothing is written in the runtime folder any more. */
  end(): Promise<void>
}

/**
 * What goes on beside a panel that answers: the first administrator's link while there is no user, the start of the loop, the forgetting of old
 * sessions.
 * @param address of the panel, for the link; without its host as long as nobody knows that
 */
export const attendPanel = async (background: Background, address: string): Promise<Attending> => {
  const { config, db } = background
  const firstLink = await showFirstLink(db, config.runtime, address)
  if (config.autostart) await autostart(background)
  const reported = reportActions(background)
  const watch = config.notify && watchSupervisor(background, config.notify)
  const prune = setInterval(() => void forgetOld(db), 600_000).unref()
  return {
    listensAt: firstLink.listensAt,
    end: async () => {
      clearInterval(prune)
      await watch?.end()
      firstLink.end()
      await reported
    },
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
    console.error(`The supervisor could not be started: ${messageOf(error)}`)
  }
}

/** Prints the first administrator's link while there is no user, and keeps it in runtime/first-run as long as it is good. */
const showFirstLink = async (db: Db, runtime: string, address: string): Promise<{ listensAt(origin: string): void; end(): void }> => {
  const path = await makeFirstLink(db)
  if (path === null) {
    // Left by a panel that was killed.
    removeFirstRun(runtime)
    return { listensAt: () => {}, end: () => {} }
  }
  let link = `${address}${path}`
  const show = (where: string) => {
    writeFirstRun(runtime, link)
    console.log(`First administrator, once and within 15 minutes: ${link}${where}`)
  }
  const hasHost = !link.startsWith('/')
  show(hasHost ? '' : ' (put the address of your application before it; BGTASK_PUBLIC_URL does so by itself)')
  let isOver = false
  const expiry = setTimeout(() => {
    isOver = true
    removeFirstRun(runtime, link)
  }, onceLinkMs).unref()
  return {
    listensAt: origin => {
      // A socket in the file system has no address that a browser could open.
      if (hasHost || isOver || !/^https?:/.test(origin)) return
      link = `${origin}${address}${path}`
      show('')
    },
    end: () => {
      isOver = true
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
