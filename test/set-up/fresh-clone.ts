import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const root = join(import.meta.dirname, '..', '..')

/** A machine to try a fresh clone on: an ordinary user with a home, and a choice of Nodes. */
export class Machine {
  readonly folder = mkdtempSync(join(tmpdir(), 'bgtask-fresh-'))
  // One cache for all clones: the packages are downloaded once.
  readonly #cache = join(this.folder, 'npm-cache')
  // root tries what everybody else may do as "nobody"; anyone else is an ordinary user already.
  readonly #user: { uid?: number; gid?: number } = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  readonly #started = new Set<ChildProcess>()

  constructor() {
    for (const name of ['home', 'npm-cache', 'elsewhere']) mkdirSync(join(this.folder, name))
    copyWorkingCopy(join(this.folder, 'origin'))
    const { uid, gid } = this.#user
    if (uid !== undefined) execFileSync('chown', ['-R', `${uid}:${gid}`, this.folder])
  }

  /** Clones what is in the working copy now, committed or not, into a folder with this name. */
  clone(name: string): string {
    const target = join(this.folder, name)
    const options = { ...this.#user, env: { ...process.env, HOME: join(this.folder, 'home') } }
    execFileSync('git', ['clone', '--quiet', '--no-hardlinks', join(this.folder, 'origin'), target], options)
    return target
  }

  /** A folder for PATH in which `node` is this one. */
  nodeFolder(node: string): string {
    const folder = mkdtempSync(join(this.folder, 'bin-'))
    chmodSync(folder, 0o755)
    // A copy: the user may not be able to reach where ours lies.
    if (node === process.execPath) copyFileSync(node, join(folder, 'node'))
    else symlinkSync(node, join(folder, 'node'))
    return folder
  }

  /** Runs a command as the ordinary user, with no terminal and nobody to answer questions. */
  run(command: string, args: string[], options: { cwd: string; bin: string; env?: Record<string, string> }): Run {
    const env = {
      PATH: [options.bin, ...pathWithoutOurs()].join(delimiter),
      HOME: join(this.folder, 'home'),
      LANG: 'C.UTF-8',
      npm_config_cache: this.#cache,
      npm_config_update_notifier: 'false',
      // A loop that serve started would outlive it, as it should.
      BGTASK_AUTOSTART: 'off',
      ...certificates(),
      ...options.env,
    }
    const child = spawn(command, args, { cwd: options.cwd, env, ...this.#user, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.#started.add(child)
    return new Run(child)
  }

  /** Ends all that was started and removes everything. */
  async remove(): Promise<void> {
    for (const child of this.#started) {
      if (child.pid && child.exitCode === null && child.signalCode === null) {
        process.kill(-child.pid, 'SIGKILL')
        await once(child, 'exit')
      }
    }
    execFileSync('chmod', ['-R', 'u+w', this.folder])
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** A process and what it has said so far. */
export class Run {
  output = ''
  readonly child: ChildProcess
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>

  constructor(child: ChildProcess) {
    this.child = child
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', data => (this.output += data))
    this.ended = once(child, 'close').then(([code, signal]) => ({ code, signal, output: this.output }))
  }

  /** Waits for a text in the output; fails with the output when the process ends without it, or after the time. */
  async says(text: string | RegExp, maxMs = 60_000): Promise<void> {
    for (const deadline = Date.now() + maxMs; !this.output.match(text); await sleep(20)) {
      const gone = this.child.exitCode !== null || this.child.signalCode !== null
      if (gone || Date.now() > deadline)
        throw new Error(`${gone ? 'It ended' : `${maxMs} ms passed`} without saying ${text}:\n${this.output}`)
    }
  }
}

/** A Node below 24 on this machine, or undefined. */
export function oldNode(): string | undefined {
  return pathWithoutOurs()
    .map(folder => join(folder, 'node'))
    .filter(path => existsSync(path))
    .find(path => Number.parseInt(execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }), 10) < 24)
}

/** Why no clone can be made here, or false. */
export function cloneImpossible(): string | false {
  try {
    execFileSync('git', ['rev-parse', '--show-toplevel'], { cwd: root, stdio: 'ignore' })
    return false
  } catch (error) {
    return `this is no git working copy, so no fresh clone can be made of it (${error instanceof Error ? error.message : error})`
  }
}

/** Whatever npm put before PATH to run us (our own packages, our own Node) is not what a new user has. */
function pathWithoutOurs(): string[] {
  const own = dirname(process.execPath)
  return (process.env.PATH ?? '').split(delimiter).filter(folder => folder && folder !== own && !folder.includes('node_modules'))
}

/** Behind a proxy with a certificate of its own the user would have these set as well. */
function certificates(): Record<string, string> {
  const names = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy']
  return Object.fromEntries(names.flatMap(name => (process.env[name] ? [[name, process.env[name]]] : [])))
}

function copyWorkingCopy(target: string): void {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: target, stdio: ['ignore', 'ignore', 'inherit'] })
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: root, encoding: 'utf8' })
  for (const file of files.split('\0').filter(name => name && existsSync(join(root, name)))) cpSync(join(root, file), join(target, file))
  git('init', '--quiet')
  git('add', '--all')
  git('-c', 'user.name=test', '-c', 'user.email=test@localhost', 'commit', '--quiet', '--message', 'as it is now')
}
