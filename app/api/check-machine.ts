import type { ActionEntry } from '../catalog/catalog.ts'
import { loadCatalog } from '../catalog/catalog.ts'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { lookAtMachine, type Machine } from '../runs/machine.ts'
import type { Finding } from './check.ts'

/** Which limits of actions this machine can keep, and by which way. */
export const checkMachine = async (config: Config): Promise<Finding[]> => {
  try {
    return machineFindings(await lookAtMachine(config.cgroups), await entriesOf(config))
  } catch (error) {
    const sentence = `What this machine can do to limit actions cannot be found out (${messageOf(error)}).`
    return [{ level: 'warning', subject: 'limits', sentence, remedy: 'Actions without limits are not concerned.' }]
  }
}

/** One finding each for memory, processes, other users and privileges. What cannot be had is a fault only if an action asks for it. */
export const machineFindings = (machine: Machine, entries: readonly Pick<ActionEntry, 'name' | 'limits'>[]): Finding[] => {
  const askers = (asks: (limits: NonNullable<ActionEntry['limits']>) => unknown) =>
    entries.flatMap(({ name, limits }) => (limits && asks(limits) ? [name] : []))
  const memory = machine.places.find(place => place.memory)
  const processes = machine.places.find(place => place.processes)
  const runAs = askers(limits => limits.runAs)
  const notOurs = 'no such cgroup is ours'
  return [
    ...machine.troubles.map(
      (sentence): Finding => ({
        level: 'error',
        subject: 'limits',
        sentence,
        remedy: 'Set BGTASK_CGROUPS to a cgroup that was given to bgtask, or leave it out.',
      }),
    ),
    memory
      ? can('memory limit', `memoryMb bounds all processes of a run together, by cgroups (version ${memory.version}) in ${memory.folder}.`)
      : machine.prlimit === null
        ? can('memory limit', `memoryMb bounds each process of a run by itself (RLIMIT_DATA): ${notOurs}.`)
        : cannot(
            'memory limit',
            `memoryMb cannot be kept: ${notOurs}, and ${machine.prlimit}.`,
            askers(limits => limits.memoryMb),
            giveCgroup,
          ),
    processes
      ? can('process limit', `processes bounds each run by itself, by cgroups (version ${processes.version}) in ${processes.folder}.`)
      : machine.prlimit === null && machine.runAs === null
        ? cannot(
            'process limit',
            `processes can only be kept for actions that run as another user, and counts all that this user has (RLIMIT_NPROC): ${notOurs}.`,
            askers(limits => limits.processes && !limits.runAs),
            giveCgroup,
          )
        : cannot(
            'process limit',
            `processes cannot be kept: ${notOurs}.`,
            askers(limits => limits.processes),
            giveCgroup,
          ),
    machine.runAs === null
      ? can('other users', 'runAs works: setpriv starts runs as other users, with none of the rights of root.')
      : cannot(
          'other users',
          `runAs does not work: ${machine.runAs}.`,
          runAs,
          'Let root start bgtask, or let the action run as the user of bgtask.',
        ),
    machine.noNewPrivileges === null
      ? can('privileges', 'noNewPrivileges works, by setpriv: no program that a run starts can gain rights.')
      : cannot(
          'privileges',
          `noNewPrivileges does not work: ${machine.noNewPrivileges}.`,
          askers(limits => limits.noNewPrivileges || limits.runAs),
          'Install util-linux.',
        ),
  ]
}

const giveCgroup =
  'Give bgtask a cgroup: in its systemd unit, Delegate=yes, DelegateSubgroup=bgtask and Environment=BGTASK_CGROUPS=/sys/fs/cgroup/system.slice/<unit>.'

const can = (subject: Finding['subject'], sentence: string): Finding => ({ level: 'ok', subject, sentence, remedy: null })

const cannot = (subject: Finding['subject'], sentence: string, askers: readonly string[], remedy: string): Finding =>
  askers.length === 0
    ? can(subject, `${sentence} No action asks for it.`)
    : {
        level: 'error',
        subject,
        sentence: `${sentence} ${some(askers)} ${askers.length === 1 ? 'asks' : 'ask'} for it, and will not be run.`,
        remedy,
      }

const some = (names: readonly string[]) =>
  names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')

// That the actions cannot be read is told by another finding.
const entriesOf = async (config: Config): Promise<readonly ActionEntry[]> => {
  try {
    return (await loadCatalog(config)).entries
  } catch {
    return []
  }
}
