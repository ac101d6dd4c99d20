import { type FSWatcher, watch } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { hostname } from 'node:os'
import { basename } from 'node:path'
import type { Config } from '../config.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { ourCommand, packageVersion } from '../paths.ts'
import { writeDatabaseUrl } from '../runs/database-url-file.ts'
import { readFlag, readHold, removeFlag } from '../runs/flags.ts'
import { hostId } from '../runs/host-id.ts'
import { takeLock } from '../runs/locks.ts'
import { removeNotify, writeNotify } from '../runs/notify-file.ts'
import { identify } from '../runs/process-identity.ts'
import { prepareRuntimeFolder, runtimePaths } from '../runs/runtime-folder.ts'
import { readSupervisor, removeSupervisor, writeSupervisor } from '../runs/supervisor-file.ts'
import { isAway } from '../store/database.ts'
import { beatHost, enterHost } from '../store/hosts.ts'
import { migrate } from '../store/migrate.ts'
import { noteIncidentsAlone } from '../store/note-incidents.ts'
import { calmLog, rotateOwnLog } from './bounded-log.ts'
import { eachMinute } from './each-minute.ts'
import { createFolderPruner } from './prune-folders.ts'
import { pruneHistory } from './prune-history.ts'
import { sampleAfterMs } from './sampler.ts'
import { type Log, Supervisor } from './supervisor.ts'
import { tellSilentHosts } from './tell-silent-hosts.ts'

const pollMs = 1_000
const lookMs = 500
const tellMs = 2_500
const measureMs = 5_000
const silentLookMs = 10_000
const firstPruneMs = 30_000
const pruneMs = 600_000
/** Runs that print a lot fill a disk sooner. */
const pruneFoldersMs = 60_000

/**
 * The supervisor's whole life: lock, take over, supervise, leave.
 * @returns the exit code: 0 after an ordered end, 75 when another has the lock or an operator holds the loop
 */
export const supervise = async (config: Config, fullLog: Log): Promise<number> => {
  const log = calmLog(fullLog)
  prepareRuntimeFolder(config.runtime)
  const paths = runtimePaths(config.runtime)
  const lock = await takeLock(paths.lock)
  if (!lock) {
    const other = readSupervisor(config.runtime)
    log.info(
      `Another supervisor${other ? ` (pid ${other.pid}, since ${new Date(other.startedAt).toISOString()})` : ''} already has ${config.runtime}.`,
    )
    return exitCodes.busy
  }
  const held = readHold(config.runtime)
  if (held) {
    log.info(`The supervisor is on hold since ${new Date(held.at).toISOString()} by ${held.by}. Release it with: ${ourCommand} start`)
    return exitCodes.busy
  }
  // A flag that lies here was meant for a life that is over.
  for (const flag of [paths.stop, paths.reload]) removeFlag(flag)
  writeDatabaseUrl(config.runtime, config.databaseUrl)
  if (config.notify) writeNotify(config.runtime, config.notify)
  else removeNotify(config.runtime)

  const epoch = `${Date.now().toString(36)}-${process.pid.toString(36)}`
  const supervisor = new Supervisor(config, { host: hostId(config.runtime), epoch }, log)
  const left = Promise.withResolvers<{ why: string; by: string | null }>()
  let signals = 0
  const onSignal = (signal: NodeJS.Signals) => {
    if (++signals > 1) {
      log.info(`${signal} again: going at once, what runs goes on`)
      supervisor.abandon()
    }
    left.resolve({ why: signal, by: null })
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, onSignal)
  // The last net: a mistake of ours about one run must not leave all the others without a supervisor.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) =>
      log.warn(`a mistake of bgtask, please report it: ${error instanceof Error ? error.stack : String(error)}`),
    )
  }

  const who = tellWho(config, supervisor, log)
  who.tell()
  log.info(`supervisor ${process.pid} begins, epoch ${epoch}`)

  await supervisor.start()
  who.tell()
  const trouble = (error: unknown) => log.warn(messageOf(error))
  const unlessAway = (error: unknown) => {
    if (isAway(error)) throw error
    trouble(error)
  }
  let entered = false
  const enter = async () => {
    entered ||=
      (await supervisor.database.use(async db => {
        await migrate(db)
        supervisor.learnDown(await enterHost(db, who.host()))
        const isBack = { do: 'close', kind: 'supervisor-gone', of: supervisor.owner.host, at: Date.now(), how: 'recovered' } as const
        if (config.notify) await noteIncidentsAlone(db, config.notify, [isBack]).catch(unlessAway)
        return true
      })) ?? false
  }
  const poll = async () => {
    if (!entered) await enter()
    await supervisor.refresh()
  }
  const beat = () => supervisor.database.use(db => beatHost(db, supervisor.owner.host, epoch, supervisor.facts))
  const tellSilent = config.notify && tellSilentHosts(config.notify, supervisor.owner.host)
  const prune = () => supervisor.database.use(db => pruneHistory(config, db, log))
  const pruneFolders = createFolderPruner(config, log)
  const obeyFlags = () => {
    try {
      // Said while we were on our way up, before anybody could name our epoch.
      const held = readHold(config.runtime)
      if (held) left.resolve({ why: 'it is on hold', by: held.by })
      const stop = readFlag(paths.stop)
      if (stop && (stop.epoch === null || stop.epoch === epoch)) left.resolve({ why: `asked by ${stop.by}`, by: stop.by })
      else if (stop) log.info(`a stop flag for another life (${stop.epoch}) is removed`)
      if (stop) removeFlag(paths.stop)
      const reload = readFlag(paths.reload)
      if (reload) removeFlag(paths.reload)
      if (reload && (reload.epoch === null || reload.epoch === epoch)) supervisor.reload(reload.by)
    } catch (error) {
      trouble(error)
    }
  }
  const watcher = tryWatch(config.runtime, log, name => {
    if (name === basename(paths.wake)) {
      supervisor.schedules.rang()
      supervisor.wake()
    } else if (name === basename(paths.stop) || name === basename(paths.reload)) obeyFlags()
  })
  const timers = [
    setInterval(() => void poll().catch(trouble), pollMs),
    setInterval(() => {
      supervisor.look()
      who.tellIfChanged()
    }, lookMs),
    setInterval(() => {
      if (!lock.isCurrent())
        left.reject(
          new BgtaskError(
            'busy',
            `${paths.lock} was removed, so another supervisor may have the folder by now. This one goes; what runs goes on.`,
          ),
        )
      rotateOwnLog(paths.log, log)
      for (const child of supervisor.children) child.measure()
      void beat().catch(trouble)
    }, measureMs),
    setInterval(() => obeyFlags(), pollMs),
    ...(tellSilent ? [setInterval(() => void supervisor.database.use(tellSilent).catch(trouble), silentLookMs)] : []),
    setInterval(() => who.tell(), tellMs),
    setInterval(() => void prune().catch(trouble), pruneMs),
    setTimeout(() => void prune().catch(trouble), firstPruneMs),
    setInterval(() => void pruneFolders().catch(trouble), pruneFoldersMs),
  ]
  const sampling = eachMinute(sampleAfterMs, () => void supervisor.sample().catch(trouble))
  try {
    await enter()
    await supervisor.refresh()
    // What the last minute of an earlier life was, if that one did not come to write it.
    await supervisor.sample()
    // The next start of anything is faster, also if this one is killed.
    flushCompileCache()
    const { why, by } = await left.promise
    await supervisor.leave(why, by)
    removeFlag(paths.stop)
    log.info('supervisor has left')
    return exitCodes.done
  } catch (error) {
    // A database that this code cannot work with: what runs goes on, for a supervisor with fitting code.
    supervisor.abandon()
    throw error
  } finally {
    for (const timer of timers) clearTimeout(timer)
    sampling.close()
    watcher?.close()
    if (lock.isCurrent()) removeSupervisor(config.runtime)
    lock.close()
  }
}

// Without a watch (the kernel has none left) the poll finds everything within a second.
const tryWatch = (folder: string, log: Log, changed: (name: string | null) => void): FSWatcher | null => {
  try {
    return watch(folder, (_, name) => changed(name)).on('error', error =>
      log.warn(`${folder} is watched no more: ${error.message}; it is polled`),
    )
  } catch (error) {
    log.warn(`${folder} cannot be watched: ${messageOf(error)}; it is polled`)
    return null
  }
}

const tellWho = (config: Config, supervisor: Supervisor, log: Log) => {
  const identity = identify(process.pid)!
  const startedAt = Date.now()
  let told = ''
  const tell = () => {
    const facts = supervisor.facts
    try {
      writeSupervisor(config.runtime, {
        ...identity,
        epoch: supervisor.owner.epoch,
        version: packageVersion(),
        startedAt,
        tickAt: Date.now(),
        ...facts,
      })
      told = JSON.stringify(facts)
    } catch (error) {
      // A full disk: the file is information, what it tells about goes on.
      log.warn(`bgtask.pid could not be written: ${messageOf(error)}`)
    }
  }
  return {
    tell,
    tellIfChanged: () => {
      if (JSON.stringify(supervisor.facts) !== told) tell()
    },
    host: () => ({
      host: supervisor.owner.host,
      epoch: supervisor.owner.epoch,
      pid: process.pid,
      version: packageVersion(),
      hostname: hostname(),
      runtime: config.runtime,
      startedAt,
    }),
  }
}
