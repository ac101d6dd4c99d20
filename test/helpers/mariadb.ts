import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createConnection } from 'mysql2/promise'
import { freePort } from './free-port.ts'
import { endWithParent, findProgram } from './tools.ts'

/** A private MariaDB server, in a folder and on a port of its own. */
export interface MariaDb {
  /** A database that is there from the start, as the ordinary user `bgtask` (no SUPER, so that read-only holds for it). */
  readonly url: string
  /** The same server as a user who may do everything; no database chosen. */
  readonly adminUrl: string
  readonly port: number
  readonly pid: number
  /** Makes an empty database and returns its URL (user `bgtask`). */
  newDatabase(): Promise<string>
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGSTOP: connections stay open and nobody answers. Resolves when each of its threads has really stopped. */
  pause(): Promise<void>
  resume(): void
  /** Starts it again on the same data and port, after kill() or while it runs. */
  restart(): Promise<void>
  /** Refuses writes of ordinary users, or allows them again. */
  setReadOnly(on: boolean): Promise<void>
  /** Ends it and removes its folder. May be called twice. */
  stop(): Promise<void>
}

/**
 * Starts a MariaDB of one's own (about 1 s) for a test that hurts it. It dies with this process, whatever ends that.
 * @param options.arguments more arguments for mariadbd, e.g. `--max-connections=5`
 */
export async function startMariaDb(options: { arguments?: string[] } = {}): Promise<MariaDb> {
  const folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`))
  const removeFolder = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  const password = randomBytes(12).toString('hex')
  try {
    await copyFreshData(join(folder, 'data'))
    writeFileSync(join(folder, 'init.sql'), usersWith(password), { mode: 0o600 })
    let server = await startOnFreePort(folder, options.arguments ?? [])
    const port = server.port
    const adminUrl = `mysql://admin:${password}@127.0.0.1:${port}/`
    // A test that forgets stop() leaves nothing behind either.
    const onExit = () => {
      server.process.kill('SIGKILL')
      removeFolder()
    }
    process.once('exit', onExit)
    return {
      url: await newDatabaseOf(adminUrl),
      adminUrl,
      port,
      get pid() {
        return server.process.pid ?? 0
      },
      newDatabase: () => newDatabaseOf(adminUrl),
      kill: () => end(server.process, 'SIGKILL'),
      async pause() {
        server.process.kill('SIGSTOP')
        // The signal reaches the threads one after another: until the last of them stands, a statement may still be answered.
        while (!threadStates(server.process.pid).every(state => state === 'T')) await sleep(1)
      },
      resume: () => void server.process.kill('SIGCONT'),
      async restart() {
        await end(server.process, 'SIGTERM')
        server = await startServer(folder, port, options.arguments ?? [])
      },
      setReadOnly: on => statement(adminUrl, `SET GLOBAL read_only = ${on ? 'ON' : 'OFF'}`),
      async stop() {
        process.off('exit', onExit)
        await end(server.process, 'SIGKILL')
        removeFolder()
      },
    }
  } catch (error) {
    removeFolder()
    throw error
  }
}

/**
 * The server that `npm test` started for everybody (BGTASK_TEST_MYSQL). A test file that is run by hand gets one of its own,
 * which ends with the process.
 */
export async function sharedMariaDb(): Promise<Pick<MariaDb, 'newDatabase'>> {
  const adminUrl = process.env.BGTASK_TEST_MYSQL
  if (adminUrl) return { newDatabase: () => newDatabaseOf(adminUrl) }
  own ??= startMariaDb()
  return own
}

const prefix = 'bgtask-mariadb-'
let own: Promise<MariaDb> | undefined

/** The same at installation and at start: a server that finds another size of log rewrites it first. */
const settings = [
  '--innodb-log-file-size=32M',
  '--innodb-buffer-pool-size=96M',
  '--innodb-flush-log-at-trx-commit=1',
  '--performance-schema=OFF',
  '--skip-log-bin',
  '--character-set-server=utf8mb4',
]

interface Server {
  process: ChildProcess
  port: number
}

async function startOnFreePort(folder: string, more: string[]): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startServer(folder, await freePort(), more)
    } catch (error) {
      // Somebody else may have taken the port since we looked.
      if (attempt === 5 || !String(error).includes('Address already in use')) throw error
    }
  }
}

async function startServer(folder: string, port: number, more: string[]): Promise<Server> {
  const logFile = join(folder, 'error.log')
  rmSync(logFile, { force: true })
  const server = [
    program('mariadbd'),
    '--no-defaults',
    ...asRoot(),
    `--datadir=${join(folder, 'data')}`,
    `--tmpdir=${folder}`,
    `--socket=${join(folder, 's')}`,
    `--pid-file=${join(folder, 'pid')}`,
    `--log-error=${logFile}`,
    `--init-file=${join(folder, 'init.sql')}`,
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    '--skip-name-resolve',
    '--max-connections=300',
    ...settings,
    ...more,
  ]
  const [command = '', ...args] = [...endWithParent(), ...server]
  const child = spawn(command, args, { stdio: 'ignore' })
  const failed = once(child, 'error').then(([error]) => String(error))
  for (const deadline = Date.now() + 60_000; !(await answers(port, child)); await sleep(20)) {
    if (child.exitCode === null && child.signalCode === null && Date.now() < deadline) continue
    child.kill('SIGKILL')
    const said = existsSync(logFile) ? readFileSync(logFile, 'utf8').slice(-3000) : await Promise.race([failed, 'it said nothing'])
    throw new Error(`mariadbd on port ${port} did not start: ${said}`)
  }
  child.unref()
  return { process: child, port }
}

/** Ours answers on the port: not only somebody does. */
async function answers(port: number, child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null) return false
  try {
    const connection = await createConnection({ host: '127.0.0.1', port, user: 'nobody', connectTimeout: 2000 })
    connection.destroy()
    return true
  } catch (error) {
    // Refused by name: it is up.
    return error instanceof Error && 'errno' in error && error.errno === 1045 && child.exitCode === null
  }
}

async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.ref()
  const ended = once(child, 'exit')
  child.kill(signal)
  child.kill('SIGCONT')
  await ended
}

async function newDatabaseOf(adminUrl: string): Promise<string> {
  const name = `bgtask_${randomBytes(6).toString('hex')}`
  await statement(adminUrl, `CREATE DATABASE ${name}`)
  const url = new URL(adminUrl)
  return `mysql://bgtask:${url.password}@${url.host}/${name}`
}

async function statement(url: string, sql: string): Promise<void> {
  const connection = await createConnection(url)
  try {
    await connection.query(sql)
  } finally {
    connection.destroy()
  }
}

const usersWith = (password: string) => `CREATE OR REPLACE USER admin@'127.0.0.1' IDENTIFIED BY '${password}';
GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;
CREATE OR REPLACE USER bgtask@'127.0.0.1' IDENTIFIED BY '${password}';
GRANT ALL ON \`bgtask\\_%\`.* TO bgtask@'127.0.0.1';
`

/** A data folder takes seconds to make and an instant to copy: one is kept per version and user. */
async function copyFreshData(target: string): Promise<void> {
  removeLeftovers()
  const version = execFileSync(program('mariadbd'), ['--version'], { encoding: 'utf8' }).match(/Ver (\S+)/)?.[1] ?? 'unknown'
  const template = join(tmpdir(), `${prefix}template-${process.getuid?.() ?? 0}-${version.replaceAll(/[^\w.-]/g, '_')}`)
  if (!existsSync(template)) makeTemplate(template)
  if (statSync(template).uid !== process.getuid?.()) throw new Error(`${template} belongs to somebody else: remove it and try again.`)
  cpSync(template, target, { recursive: true })
}

function makeTemplate(template: string): void {
  const fresh = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`))
  const data = join(fresh, 'data')
  mkdirSync(data)
  const args = [
    '--no-defaults',
    ...asRoot(),
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    ...settings,
  ]
  const made = spawnSync(program('mariadb-install-db'), args, { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`mariadb-install-db failed (${made.status ?? made.signal}): ${made.stdout}${made.stderr}`)
  try {
    renameSync(data, template)
  } catch (error) {
    // Another process was faster: its template is as good as ours.
    if (!existsSync(template)) throw error
  }
  rmSync(fresh, { recursive: true, force: true })
}

/** Folders of servers whose process was killed and could not remove them. An hour old, since a pid says nothing across containers. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(name.match(/^bgtask-mariadb-(\d+)-/)?.[1])
    const path = join(tmpdir(), name)
    if (!pid || existsSync(`/proc/${pid}`) || Date.now() - statSync(path, { throwIfNoEntry: false })!.mtimeMs < 3_600_000) continue
    rmSync(path, { recursive: true, force: true })
  }
}

const asRoot = () => (process.getuid?.() === 0 ? ['--user=root'] : [])

function program(name: string): string {
  const path = findProgram(name)
  if (!path) throw new Error(`${name} not found: install mariadb-server.`)
  return path
}

/** The state letter of each thread (proc(5)); of one that ended meanwhile, 'X'. */
function threadStates(pid: number | undefined): string[] {
  const folder = `/proc/${pid}/task`
  return readdirSync(folder).map(thread => {
    try {
      const stat = readFileSync(join(folder, thread, 'stat'), 'utf8')
      return stat.slice(stat.lastIndexOf(')') + 2).charAt(0)
    } catch {
      return 'X'
    }
  })
}
