import { execFile } from 'node:child_process'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { launcher } from '../paths.ts'
import { type Bounds, boundsFor, commandWithin, leafName } from '../runs/bounds.ts'
import { lookAtMachine, type Machine, nodeReserveBytes } from '../runs/machine.ts'
import { findRunUser, type RunUser } from '../runs/run-user.ts'
import { type Limits, namesOf } from '../task/limits.ts'

/** Decides, for each run whose action asks for limits, how they are kept; or why the action cannot be run here. */
export class Limiter {
  readonly #config: Config
  readonly #host: string
  /** Looked at when the first such run comes, and again after a refusal: what was missing may have been brought. */
  #machine: Promise<Machine> | null = null

  constructor(config: Config, host: string) {
    this.#config = config
    this.#host = host
  }

  /** @param run its name, as in `7-1`; @param file the action's. Never throws: what cannot be found out is a refusal. */
  async boundsOf(limits: Limits, run: string, file: string): Promise<{ bounds: Bounds } | { refusal: string }> {
    const answer = await this.#decide(limits, run, file).catch((error: unknown) => ({
      refusal: `The action asks for ${namesOf(limits)}, and whether that can be had here could not be found out: ${messageOf(error)}.`,
    }))
    if ('refusal' in answer) this.#machine = null
    return answer
  }

  async #decide(limits: Limits, run: string, file: string): Promise<{ bounds: Bounds } | { refusal: string }> {
    this.#machine ??= lookAtMachine(this.#config.cgroups)
    const [machine, user, reserveBytes] = await Promise.all([
      this.#machine,
      limits.runAs === null ? null : findRunUser(limits.runAs),
      limits.memoryMb === null ? 0 : nodeReserveBytes(),
    ])
    const answer = boundsFor(limits, {
      machine,
      user,
      ownUid: process.getuid?.() ?? -1,
      leafName: leafName(this.#host, run),
      reserveBytes,
      databaseIsFile: this.#config.databaseUrl.startsWith('sqlite:'),
    })
    if ('refusal' in answer || !answer.bounds.user) return answer
    const closed = await whatIsClosedTo(answer.bounds.user, file)
    return closed === null
      ? answer
      : {
          refusal: `The action asks to run as ${answer.bounds.user.asked}, who cannot read ${closed}. Let others read it, and pass its folders (chmod o+rX).`,
        }
  }
}

/** @returns the first of the files that every run needs which this user may not read; null when all can be */
const whatIsClosedTo = (user: RunUser, file: string): Promise<string | null> => {
  const bounds: Bounds = { user, noNewPrivileges: true, leaves: [], dataBytes: null, userProcesses: null, database: false }
  const look = 'for file; do test -r "$file" || { echo "$file"; exit; }; done'
  const [program, ...given] = commandWithin(bounds, ['/bin/sh', '-c', look, 'bgtask', process.execPath, launcher, file])
  return new Promise((resolve, reject) => {
    execFile(program!, given, { env: { PATH: process.env.PATH }, timeout: 5_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(stderr.trim() || messageOf(error)))
      else resolve(stdout.trim() || null)
    })
  })
}
