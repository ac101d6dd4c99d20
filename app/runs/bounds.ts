import { join } from 'node:path'
import { type Limits, namesOf } from '../task/limits.ts'
import type { Sentence } from '../task/told.ts'
import type { Leaf } from './cgroups.ts'
import { type Machine, withoutRights } from './machine.ts'
import type { RunUser } from './run-user.ts'

/** How the limits of one run are kept on this machine; lies in its ticket, so that a later supervisor can go on keeping them. */
export interface Bounds {
  /** null: our own. */
  user: RunUser | null
  noNewPrivileges: boolean
  leaves: Leaf[]
  /** RLIMIT_DATA of each process; null: a leaf bounds them, or nothing has to. */
  dataBytes: number | null
  /** RLIMIT_NPROC, which counts all that the user has; null as above. */
  userProcesses: number | null
  /** Handed the address of the database. */
  database: boolean
}

/** What a decision about limits needs to know. */
export interface BoundsFacts {
  machine: Machine
  /** null: nobody else is asked for, or there is no such user. */
  user: RunUser | null
  ownUid: number
  /** `1a2b3c/7-1` made into a name: that of the run's leaves. */
  leafName: string
  reserveBytes: number
  databaseIsFile: boolean
}

/** Decides how the limits are kept, or says in a sentence what this machine cannot do. Never less than was asked for. */
export const boundsFor = (limits: Limits, facts: BoundsFacts): { bounds: Bounds } | { refusal: string } => {
  const cannot = (what: string, why: Sentence) => ({
    refusal: `The action asks for ${namesOf(limits)}, and ${what} cannot be had here: ${why}.`,
  })
  const { machine, user } = facts
  const isOther = user !== null && user.uid !== facts.ownUid
  if (limits.runAs !== null && user === null) return cannot('runAs', `there is no user ${JSON.stringify(limits.runAs)} on this machine`)
  if (user?.uid === 0 && facts.ownUid === 0) return cannot('runAs', 'root is the user that it shall not be')
  if (isOther && machine.runAs !== null) return cannot('runAs', machine.runAs)
  const noNewPrivileges = limits.noNewPrivileges || user !== null
  if (noNewPrivileges && machine.noNewPrivileges !== null) return cannot('noNewPrivileges', machine.noNewPrivileges)
  if (limits.database && isOther && facts.databaseIsFile)
    return cannot('database', 'the database is a file of ours, which another user cannot open; a MySQL server can be used by both')

  const bounds: Bounds = {
    user: isOther ? user : null,
    noNewPrivileges,
    leaves: [],
    dataBytes: null,
    userProcesses: null,
    database: limits.database && isOther,
  }
  const memoryBytes = limits.memoryMb === null ? null : limits.memoryMb * 2 ** 20
  const memoryPlace = machine.places.find(place => place.memory)
  const processPlace = machine.places.find(place => place.processes)
  if (memoryBytes !== null && !memoryPlace) {
    if (machine.prlimit !== null) return cannot('memoryMb', `there is no memory cgroup for us, and ${machine.prlimit}`)
    bounds.dataBytes = memoryBytes + facts.reserveBytes
  }
  if (limits.processes !== null && !processPlace) {
    if (!isOther)
      return cannot('processes', 'there is no pids cgroup for us, and without one only the processes of another user can be counted')
    if (machine.prlimit !== null) return cannot('processes', `there is no pids cgroup for us, and ${machine.prlimit}`)
    bounds.userProcesses = limits.processes
  }
  for (const place of machine.places) {
    const leaf: Leaf = {
      folder: join(place.folder, facts.leafName),
      version: place.version,
      memoryBytes: place === memoryPlace ? memoryBytes : null,
      processes: place === processPlace ? limits.processes : null,
    }
    if (leaf.memoryBytes !== null || leaf.processes !== null) bounds.leaves.push(leaf)
  }
  return { bounds }
}

/** The name of a run's leaves; all those of a host begin alike. */
export const leafPrefix = (host: string): string => `bgtask-${host}-`
export const leafName = (host: string, run: string): string => leafPrefix(host) + run

/**
 * The command line that brings `command` within the bounds. Each program becomes the next one (exec), so that process number, open files, session
 * and environment stay those of the process that was started.
 */
export const commandWithin = (bounds: Bounds, command: readonly string[]): string[] => [
  ...(bounds.leaves.length > 0 ? ['/bin/sh', '-c', enter, 'bgtask', ...bounds.leaves.map(({ folder }) => folder), '--'] : []),
  ...prlimit(bounds),
  ...setpriv(bounds),
  ...command,
]

/** So that V8 collects its garbage before the limit is reached, and does not take the whole machine's memory for its own. */
export const nodeOptionsFor = (memoryMb: number | null): string[] =>
  memoryMb === null
    ? []
    : [
        `--max-old-space-size=${Math.floor(memoryMb * 0.75)}`,
        `--max-semi-space-size=${Math.max(1, Math.min(16, Math.floor(memoryMb / 32)))}`,
      ]

// It enters its leaves itself: whoever else moved it might come after its first fork.
const enter =
  'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || { echo "bgtask: the limits of this run could not be set: $1 cannot be entered" >&2; exit 78; }; shift; done; shift; exec "$@"'

const prlimit = ({ dataBytes, userProcesses }: Bounds): string[] =>
  dataBytes === null && userProcesses === null
    ? []
    : ['prlimit', ...(dataBytes === null ? [] : [`--data=${dataBytes}`]), ...(userProcesses === null ? [] : [`--nproc=${userProcesses}`])]

const setpriv = ({ user, noNewPrivileges }: Bounds): string[] => {
  if (user)
    return ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, user.initGroups ? '--init-groups' : '--clear-groups', ...withoutRights]
  return noNewPrivileges ? ['setpriv', '--no-new-privs'] : []
}
