import { spawn } from 'node:child_process'
import { accessSync, constants, realpathSync } from 'node:fs'
import { basename, delimiter, join } from 'node:path'
import { Failure, Interrupted } from './failure.js'
import { say } from './say.js'

// What `npm --prefix x start` and the like hand down: meant for the npm that started us, not for the one that we start.
const notOurs =
  /^npm_config_(prefix|local_prefix|global_prefix|global|location|workspaces?|include_workspace_root|omit|include|only|also|dev|production|optional|dry_run|package_lock_only|package_lock|loglevel|ignore_scripts|engine_strict|install_strategy|legacy_peer_deps|json|silent)$/i

/**
 * Runs npm in a folder, without a question and without scripts of packages. npm's own words are shown only when it fails.
 * @param {string[]} args
 * @param {{ folder: string, node: string, lock?: { alsoHeldBy(pid: number): void } }} options `node` runs npm itself
 */
export async function npm(args, { folder, node, lock }) {
  checkWritable(folder)
  const [program, ...first] = npmCommand(node)
  const all = [
    ...first,
    ...args,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-progress',
    '--no-update-notifier',
    '--loglevel=error',
  ]
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !notOurs.test(name)))
  const child = spawn(program, all, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', data => {
      output = (output + data).slice(-8000)
    })
  if (child.pid) lock?.alsoHeldBy(child.pid)
  const started = Date.now()
  const stillThere = setInterval(() => say(`still waiting for npm (${Math.round((Date.now() - started) / 1000)} s) …`), 15_000)
  const end = await ended(child).finally(() => clearInterval(stillThere))
  if (end !== 'exit code 0') throw npmFailed(`npm ${args[0]} in ${folder} failed (${end})`, output.trim(), folder)
}

/** How npm ended. It ends with us: a signal to us alone (not by Ctrl-C) must not leave it working behind our back. */
function ended(child) {
  return new Promise((resolve, reject) => {
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']
    let asked
    const stop = signal => {
      asked = signal
      child.kill('SIGTERM')
    }
    for (const signal of signals) process.on(signal, stop)
    const done = how => {
      for (const signal of signals) process.off(signal, stop)
      if (asked) reject(new Interrupted(asked))
      else resolve(how)
    }
    child.once('error', error => done(error.message))
    child.once('close', (code, signal) => done(signal ? `ended by ${signal}` : `exit code ${code}`))
  })
}

/** The npm that runs us, else the one on PATH; by the given Node where it is a script, as it nearly always is. */
function npmCommand(node) {
  const running = process.env.npm_execpath
  if (running && basename(running) === 'npm-cli.js') return [node, running]
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const found = executable(join(folder, 'npm'))
    if (found) return found.endsWith('.js') ? [node, found] : [found]
  }
  throw new Failure('npm is not on PATH, and bgtask needs it to install its packages.', 'Install npm (it comes with Node) and try again.')
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK)
    return realpathSync(path)
  } catch {
    return undefined
  }
}

function checkWritable(folder) {
  for (const path of [folder, join(folder, 'node_modules')]) {
    try {
      accessSync(path, constants.W_OK)
    } catch (error) {
      if (error.code === 'ENOENT') continue
      throw new Failure(
        `The packages cannot be installed: ${path} is not writable for ${userName()} (${error.code}).`,
        'Give it to the user who runs bgtask (chown), or install as the user who owns it.',
      )
    }
  }
}

function npmFailed(problem, output, folder) {
  if (/E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|HOSTUNREACH|NETUNREACH)|ERR_SOCKET_TIMEOUT|FETCH_ERROR/.test(output)) {
    return new Failure(
      `${problem}: npm does not reach its registry.`,
      'Check the network (and proxy, see `npm config get registry`), then try again.',
      output,
    )
  }
  if (/ENOSPC/.test(output))
    return new Failure(`${problem}: the disk is full.`, `Make room (about 400 MB) for ${folder} and try again.`, output)
  if (/EACCES|EPERM|EROFS/.test(output)) {
    return new Failure(
      `${problem}: npm may not write somewhere, see above.`,
      `Make that folder writable for ${userName()} and try again.`,
      output,
    )
  }
  return new Failure(`${problem}.`, 'What npm says is above; when it is fixed, try again.', output)
}

function userName() {
  return process.getuid?.() === 0 ? 'root' : `user ${process.env.USER || process.getuid?.()}`
}
