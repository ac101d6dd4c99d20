import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, lstatSync, statfsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { faultOf } from '../catalog/action-entry.ts'
import { type ActionEntry, loadCatalog, type RefusedFile } from '../catalog/catalog.ts'
import { misnamedFiles, ownPrefix } from '../catalog/scan-actions.ts'
import { loadCommands } from '../commands/load-commands.ts'
import { type Config, maskedWebhook } from '../config.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { whyNotMakeable } from '../runs/can-be-made.ts'
import { readFlag, readHold } from '../runs/flags.ts'
import { readNotify } from '../runs/notify-file.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { isSilent, readSupervisor } from '../runs/supervisor-file.ts'
import { allOf, type Sentence, told } from '../task/told.ts'
import { checkAudit } from './check-audit.ts'
import { checkDatabase } from './check-database.ts'
import { checkMachine } from './check-machine.ts'
import { isLoopback, listeningOf, openRemedy, openSentence } from './listening.ts'
import { thisUser } from './this-user.ts'

/** What can be looked at. */
export const subjects = [
  'runtime folder',
  'disk space',
  'flock',
  'node',
  'database',
  'actions',
  'commands',
  'cron',
  'loop',
  'notifications',
  'configuration',
  'clock',
  'audit',
  'limits',
  'memory limit',
  'process limit',
  'other users',
  'privileges',
] as const

/** One thing that was looked at. */
export interface Finding {
  level: 'ok' | 'warning' | 'error'
  subject: (typeof subjects)[number]
  sentence: Sentence
  /** What to do about it; null when all is well. */
  remedy: Sentence | null
}

/**
 * Looks at everything that keeps the supervisor from running, the most frequent reason first: the rights of the runtime folder.
 * Changes nothing and never throws: what cannot be looked at is a finding.
 * @param options.newestAuditRows only so many rows of the audit are held against its chain. Default: all
 */
export const checkInstallation = async (config: Config, options: { newestAuditRows?: number } = {}): Promise<Finding[]> => {
  const steps: (() => Finding[] | Promise<Finding[]>)[] = [
    () => runtimeFolder(config.runtime),
    () => diskSpace(config.runtime),
    flockIsThere,
    nodeVersion,
    () => configuration(config),
    () => checkDatabase(config),
    () => checkAudit(config, options),
    () => actions(config),
    () => commands(config),
    () => checkMachine(config),
    () => loop(config),
    () => notifications(config),
  ]
  return (await Promise.all(steps.map(step => step()))).flat()
}

export const ok = (subject: Finding['subject'], sentence: Sentence): Finding => ({ level: 'ok', subject, sentence, remedy: null })
export const warning = (subject: Finding['subject'], sentence: Sentence, remedy: Sentence): Finding => ({
  level: 'warning',
  subject,
  sentence,
  remedy,
})
export const fault = (subject: Finding['subject'], sentence: Sentence, remedy: Sentence): Finding => ({
  level: 'error',
  subject,
  sentence,
  remedy,
})

const runtimeFolder = (runtime: string): Finding[] => {
  const subject = 'runtime folder'
  const me = thisUser()
  const give = `chown -R ${me.name} ${JSON.stringify(runtime)} && chmod 700 ${JSON.stringify(runtime)}`
  const paths = runtimePaths(runtime)
  try {
    const stat = lstatSync(runtime)
    if (!stat.isDirectory())
      return [
        fault(
          subject,
          told`${runtime} is ${stat.isSymbolicLink() ? told`a symbolic link` : told`no folder`}.`,
          told`Set BGTASK_RUNTIME to a folder.`,
        ),
      ]
    if (stat.uid !== me.uid) {
      return [
        fault(
          subject,
          told`${runtime} belongs to user ${stat.uid}, and we are ${me.name} (${me.uid}): the supervisor cannot be started.`,
          told`As root: ${give}`,
        ),
      ]
    }
    const blocked = [runtime, paths.runs, paths.locks].flatMap(path => unwritable(path, give))
    if (blocked.length > 0) return blocked
    const findings = [paths.lock, paths.pid, paths.stop, paths.wake, paths.log, paths.database].flatMap(path => foreign(path, me, give))
    if (stat.mode & 0o077) {
      findings.push(
        warning(
          subject,
          told`${runtime} can be read by others (mode ${(stat.mode & 0o777).toString(8)}).`,
          told`chmod 700 ${JSON.stringify(runtime)}`,
        ),
      )
    }
    return findings.length > 0 ? findings : [ok(subject, told`${runtime} is ours and can be written.`)]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      const why = whyNotMakeable(runtime)
      return why === null
        ? [warning(subject, told`${runtime} is not there yet.`, told`It is made by the first start (serve, start or add).`)]
        : [fault(subject, told`${runtime} is not there and cannot be made (${why}).`, told`Set BGTASK_RUNTIME to a folder that can be.`)]
    }
    return [fault(subject, told`${runtime} cannot be looked at (${messageOf(error)}).`, told`As root: ${give}`)]
  }
}

const unwritable = (path: string, give: string): Finding[] => {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return []
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    if (code === 'EROFS')
      return [
        fault(
          'runtime folder',
          told`${path} lies on a read-only file system.`,
          told`Mount it writable, or set BGTASK_RUNTIME to another folder.`,
        ),
      ]
    return [fault('runtime folder', told`${path} cannot be written: the supervisor cannot be started or stopped.`, told`As root: ${give}`)]
  }
}

// The classic: started once as root, and everything in the folder is root's from then on.
const foreign = (path: string, me: { uid: number; name: string }, give: string): Finding[] => {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat || stat.uid === me.uid || me.uid === 0) return []
  return [fault('runtime folder', told`${path} belongs to user ${stat.uid}, and we are ${me.name} (${me.uid}).`, told`As root: ${give}`)]
}

const diskSpace = (runtime: string): Finding[] => {
  const subject = 'disk space'
  try {
    const { bavail, bsize, ffree, files } = statfsSync(runtime)
    const freeBytes = bavail * bsize
    const said = told`${(freeBytes / 1e9).toFixed(1)} GB are free where the runtime folder lies`
    const remedy = told`Free some space; old runs go by themselves after BGTASK_KEEP_DAYS, and sooner if that is set lower.`
    if (freeBytes < 50e6)
      return [fault(subject, told`Only ${Math.round(freeBytes / 1e6)} MB are free where the runtime folder lies.`, remedy)]
    if (files > 0 && ffree < 1000)
      return [fault(subject, told`Only ${ffree} more files can be made where the runtime folder lies.`, remedy)]
    return freeBytes < 1e9 ? [warning(subject, told`${said}.`, remedy)] : [ok(subject, told`${said}.`)]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    return [warning(subject, told`The free space cannot be read (${messageOf(error)}).`, told`Look with df.`)]
  }
}

const flockIsThere = async (): Promise<Finding[]> => {
  const subject = 'flock'
  try {
    const { stdout } = await promisify(execFile)('flock', ['--version'], { env: { PATH: process.env.PATH }, timeout: 5000 })
    return [ok(subject, told`${stdout.trim().split('\n')[0] || 'flock'} is there.`)]
  } catch (error) {
    // Not every flock knows its version; one that refuses to tell can be run.
    if (typeof (error as { code?: unknown }).code === 'number') return [ok(subject, told`${'flock'} is there.`)]
    const sentence = told`flock cannot be run (${messageOf(error)}); without it nothing keeps a second supervisor away.`
    return [fault(subject, sentence, told`Install util-linux.`)]
  }
}

const nodeVersion = (): Finding[] => {
  const { node } = process.versions
  return Number.parseInt(node, 10) >= 24
    ? [ok('node', told`Node ${node}.`)]
    : [fault('node', told`Node ${node} is too old.`, told`Install Node 24 or newer, or start with npm start, which brings one.`)]
}

const configuration = (config: Config): Finding[] => {
  const subject = 'configuration'
  const findings: Finding[] = []
  const listening = listeningOf(config)
  if (listening === 'open') {
    findings.push(
      config.insecureListen
        ? warning(subject, openSentence(config), openRemedy)
        : fault(subject, told`${openSentence(config)} The panel (serve) does not start.`, openRemedy),
    )
  }
  if (listening !== 'local' && config.publicUrl === null) {
    findings.push(
      warning(
        subject,
        told`The panel listens on ${config.host}, and BGTASK_PUBLIC_URL is not set.`,
        told`Set it to the address people use.`,
      ),
    )
  }
  if (config.publicUrl?.startsWith('http:') && !isLoopback(new URL(config.publicUrl).hostname.replace(/^\[|\]$/g, ''))) {
    findings.push(
      warning(
        subject,
        told`${config.publicUrl} is not https: passwords go over the wire in the open.`,
        told`Put a proxy with TLS in front.`,
      ),
    )
  }
  findings.push(...socketFile(config))
  if (config.metrics === 'open') {
    findings.push(
      warning(
        subject,
        told`BGTASK_METRICS is open: every process of this machine may read /metrics without a token, and so may whoever comes by a proxy here that does not say for whom it asks.`,
        told`Give the scraper a token with the scope metrics:read, and take BGTASK_METRICS away.`,
      ),
    )
  }
  if (Date.now() < Date.UTC(2026, 0, 1)) {
    findings.push(
      fault(
        'clock',
        told`The clock says ${new Date().toISOString()}, which lies before this program was made.`,
        told`Set it, best by NTP (timedatectl set-ntp true).`,
      ),
    )
  }
  return findings.length > 0
    ? findings
    : [
        ok(
          subject,
          told`The configuration is valid; the panel is at ${config.publicUrl ?? `http://${config.host}:${config.port}`}${config.prefix}.`,
        ),
      ]
}

const socketFile = ({ socket, socketMode }: Config): Finding[] => {
  const subject = 'configuration'
  if (socket === null) return []
  const folder = dirname(socket)
  const stat = statSync(folder, { throwIfNoEntry: false })
  if (!stat?.isDirectory())
    return [
      fault(
        subject,
        told`BGTASK_SOCKET is ${socket}, and the folder ${folder} is not there.`,
        told`Make it, or set BGTASK_SOCKET to another path.`,
      ),
    ]
  const others = (stat.mode & 0o1002) === 0o002
  return [
    ...(others
      ? [
          warning(
            subject,
            told`Everybody may write in ${folder}, and put a socket of theirs in place of ours.`,
            told`chmod o-w ${JSON.stringify(folder)}`,
          ),
        ]
      : []),
    ...(socketMode & 0o002
      ? [
          warning(
            subject,
            told`BGTASK_SOCKET_MODE is 0${socketMode.toString(8)}: every user of this machine may add tasks and run commands without a token.`,
            told`Set it to 0660 and give the folder a group of its own, or to 0600.`,
          ),
        ]
      : []),
  ]
}

const actions = async (config: Config): Promise<Finding[]> => {
  const subject = 'actions'
  const missing = config.actions
    .filter(folder => !existsSync(folder))
    .map(folder =>
      fault(subject, told`The actions folder ${folder} is not there.`, told`Make it, or set BGTASK_ACTIONS to the folder that it is.`),
    )
  if (missing.length === config.actions.length) return missing
  try {
    const { entries, refused } = await loadCatalog(config)
    const findings = [...missing, ...refused.map(refusedFinding), ...entries.flatMap(brokenFinding), ...config.actions.flatMap(misnamed)]
    const mine = entries.filter(({ name }) => !name.startsWith(ownPrefix))
    if (mine.length === 0) {
      return [
        ...findings,
        warning(
          subject,
          told`There is no action in ${allOf(config.actions)}.`,
          told`report/build would be the file report/build.ts there; or set BGTASK_ACTIONS.`,
        ),
      ]
    }
    if (findings.some(({ level }) => level === 'error')) return findings
    const sentence =
      mine.length === 1
        ? told`There is one action, ${mine[0]!.name}, and it loads.`
        : told`There are ${mine.length} actions, and all of them load.`
    return [...findings, ok(subject, sentence)]
  } catch (error) {
    return [
      ...missing,
      fault(
        subject,
        told`The actions in ${allOf(config.actions)} cannot be read (${messageOf(error)}).`,
        told`Check that the folder is there and can be read, or set BGTASK_ACTIONS.`,
      ),
    ]
  }
}

const refusedFinding = ({ file, why, isFolder }: RefusedFile): Finding =>
  fault(
    'actions',
    isFolder ? told`The actions folder ${file} ${why}, so its actions are not there.` : told`${file} ${why}.`,
    isFolder ? told`Make it readable, or take it out of BGTASK_ACTIONS.` : told`Mend ${file}; all other actions work.`,
  )

const brokenFinding = (entry: ActionEntry): Finding[] =>
  entry.error === null
    ? []
    : [
        fault(
          'actions',
          told`${entry.name} ${faultOf(entry)}`,
          entry.isAmbiguous ? told`Rename one of them; all other actions work.` : told`Mend ${entry.file}; all other actions work.`,
        ),
      ]

const misnamed = (folder: string): Finding[] => {
  try {
    return misnamedFiles(folder).map(({ path, why }) =>
      warning('actions', told`${join(folder, path)} is no action: ${why}.`, told`Rename it, or begin its name with _ if it shall be none.`),
    )
  } catch {
    return [] // told with the folders that cannot be read
  }
}

const commands = async (config: Config): Promise<Finding[]> => {
  const subject = 'commands'
  const { file, fault: why, entries, broken } = await loadCommands(config)
  if (why !== null) return [fault(subject, why, told`All else works; the page Commands and the README show what such a file looks like.`)]
  if (file === null) return [ok(subject, told`There is no commands file, so no command can be run.`)]
  if (broken.length > 0) return broken.map(({ sentence }) => fault(subject, sentence, told`Mend ${file}; all other commands work.`))
  return [
    ok(
      subject,
      told`${file} allows ${entries.length === 1 ? told`one command` : told`${entries.length} commands`}, and nobody else can write it.`,
    ),
  ]
}

/** The address given for the links must be one that people reach, and the loop must have been started with what is set. */
const notifications = ({ notify, publicUrl, runtime }: Config): Finding[] => {
  const subject = 'notifications'
  if (notify === null)
    return [ok(subject, told`Nobody is told when something goes wrong: neither BGTASK_NOTIFY_WEBHOOK nor BGTASK_NOTIFY_SMTP is set.`)]
  const to = [
    ...(notify.webhook ? [maskedWebhook(notify.webhook.url)] : []),
    ...(notify.mail ? [told`${notify.mail.to.join(', ')} by ${new URL(notify.mail.smtp).hostname}`] : []),
  ]
  const findings = [ok(subject, told`Incidents are told to ${allOf(to)}.`)]
  if (publicUrl === null)
    findings.push(
      warning(
        subject,
        told`Links in messages lead to ${notify.panelUrl}, which is this machine.`,
        told`Set BGTASK_PUBLIC_URL to where people reach the panel.`,
      ),
    )
  try {
    if (readSupervisor(runtime) && JSON.stringify(readNotify(runtime)) !== JSON.stringify(notify))
      findings.push(
        warning(
          subject,
          told`The supervisor was started with other settings than these.`,
          told`Restart it in this environment: ${ourCommand} restart`,
        ),
      )
  } catch (error) {
    findings.push(
      fault(
        subject,
        told`What the supervisor was started with cannot be read (${messageOf(error)}).`,
        told`Look at the runtime folder, above.`,
      ),
    )
  }
  return findings
}

const staleFlagMs = 60_000

const loop = ({ runtime, prefix }: Pick<Config, 'runtime' | 'prefix'>): Finding[] => {
  try {
    const held = readHold(runtime)
    const running = readSupervisor(runtime)
    const flag = readFlag(runtimePaths(runtime).stop)
    const findings: Finding[] = []
    if (running) findings.push(...livingLoop(running))
    else if (held)
      findings.push(
        warning(
          'loop',
          told`The supervisor is on hold by ${held.by} since ${new Date(held.at).toISOString()}.`,
          told`start releases the hold.`,
        ),
      )
    else
      findings.push(
        warning(
          'loop',
          told`The supervisor does not run: nothing new starts. What runs already goes on.`,
          told`Visit ${prefix}, or run: ${ourCommand} start`,
        ),
      )
    if (flag && !running)
      findings.push(
        warning('loop', told`A stop flag lies there that nobody has read (by ${flag.by}).`, told`The next start ignores or removes it.`),
      )
    if (flag && running && flag.at > 0 && Date.now() - flag.at > staleFlagMs && flag.epoch !== null && flag.epoch !== running.epoch) {
      findings.push(
        warning(
          'loop',
          told`A stop flag lies there that is meant for an earlier life of the supervisor.`,
          told`It does no harm; rm ${runtimePaths(runtime).stop} removes it.`,
        ),
      )
    }
    return findings
  } catch (error) {
    const why = error instanceof BgtaskError ? error.sentence : told`The state of the supervisor cannot be read (${messageOf(error)}).`
    return [fault('loop', why, told`Mend the rights of the runtime folder.`)]
  }
}

const livingLoop = (running: NonNullable<ReturnType<typeof readSupervisor>>): Finding[] => {
  const now = Date.now()
  if (running.databaseAwaySince !== null) {
    const since = new Date(running.databaseAwaySince).toISOString()
    return [
      fault(
        'loop',
        told`The supervisor runs (process ${running.pid}) and has no database since ${since}.`,
        told`Loops go on meanwhile; bring the database back.`,
      ),
    ]
  }
  if (isSilent(running, now)) {
    const remedy = told`Look at it: kill -CONT ${running.pid} if it was stopped by a signal; else kill -9 ${running.pid}, and the next start takes over all runs.`
    return [
      fault(
        'loop',
        told`The supervisor's process ${running.pid} lives, but has said nothing for ${Math.round((now - running.tickAt) / 1000)} s.`,
        remedy,
      ),
    ]
  }
  return [ok('loop', told`The supervisor runs (process ${running.pid}, since ${new Date(running.startedAt).toISOString()}).`)]
}
