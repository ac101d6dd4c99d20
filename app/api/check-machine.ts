import type { ActionEntry } from '../catalog/catalog.ts'
import { loadCatalog } from '../catalog/catalog.ts'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { lookAtMachineLately, type Machine } from '../runs/machine.ts'
import { type Sentence, told } from '../task/told.ts'
import type { Finding } from './check.ts'

/** Which limits of actions this machine can keep, and by which way. */
export const checkMachine = async (config: Config): Promise<Finding[]> => {
  try {
    return machineFindings(await lookAtMachineLately(config.cgroups), await entriesOf(config))
  } catch (error) {
    const sentence = told`What this machine can do to limit actions cannot be found out (${messageOf(error)}).`
    return [{ level: 'warning', subject: 'limits', sentence, remedy: told`Actions without limits are not concerned.` }]
  }
}

/** One finding each for memory, processes, other users and privileges. What cannot be had is a fault only if an action asks for it. */
export const machineFindings = (machine: Machine, entries: readonly Pick<ActionEntry, 'name' | 'limits'>[]): Finding[] => {
  const askers = (asks: (limits: NonNullable<ActionEntry['limits']>) => unknown) =>
    entries.flatMap(({ name, limits }) => (limits && asks(limits) ? [name] : []))
  const memory = machine.places.find(place => place.memory)
  const processes = machine.places.find(place => place.processes)
  const runAs = askers(limits => limits.runAs)
  const notOurs = told`no such cgroup is ours`
  return [
    ...machine.troubles.map(
      (sentence): Finding => ({
        level: 'error',
        subject: 'limits',
        sentence,
        remedy: told`Set BGTASK_CGROUPS to a cgroup that was given to bgtask, or leave it out.`,
      }),
    ),
    memory
      ? can(
          'memory limit',
          told`memoryMb bounds all processes of a run together, by cgroups (version ${memory.version}) in ${memory.folder}.`,
        )
      : machine.prlimit === null
        ? can('memory limit', told`memoryMb bounds each process of a run by itself (RLIMIT_DATA): ${notOurs}.`)
        : cannot(
            'memory limit',
            told`memoryMb cannot be kept: ${notOurs}, and ${machine.prlimit}.`,
            askers(limits => limits.memoryMb),
            giveCgroup,
          ),
    processes
      ? can('process limit', told`processes bounds each run by itself, by cgroups (version ${processes.version}) in ${processes.folder}.`)
      : machine.prlimit === null && machine.runAs === null
        ? cannot(
            'process limit',
            told`processes can only be kept for actions that run as another user, and counts all that this user has (RLIMIT_NPROC): ${notOurs}.`,
            askers(limits => limits.processes && !limits.runAs),
            giveCgroup,
          )
        : cannot(
            'process limit',
            told`processes cannot be kept: ${notOurs}.`,
            askers(limits => limits.processes),
            giveCgroup,
          ),
    machine.runAs === null
      ? can('other users', told`runAs works: setpriv starts runs as other users, with none of the rights of root.`)
      : cannot(
          'other users',
          told`runAs does not work: ${machine.runAs}.`,
          runAs,
          told`Let root start bgtask, or let the action run as the user of bgtask.`,
        ),
    machine.noNewPrivileges === null
      ? can('privileges', told`noNewPrivileges works, by setpriv: no program that a run starts can gain rights.`)
      : cannot(
          'privileges',
          told`noNewPrivileges does not work: ${machine.noNewPrivileges}.`,
          askers(limits => limits.noNewPrivileges || limits.runAs),
          told`Install util-linux.`,
        ),
  ]
}

const giveCgroup = told`Give bgtask a cgroup: in its systemd unit, Delegate=yes, DelegateSubgroup=bgtask and Environment=BGTASK_CGROUPS=/sys/fs/cgroup/system.slice/<unit>.`

const can = (subject: Finding['subject'], sentence: Sentence): Finding => ({ level: 'ok', subject, sentence, remedy: null })

const cannot = (subject: Finding['subject'], sentence: Sentence, askers: readonly string[], remedy: Sentence): Finding =>
  askers.length === 0
    ? can(subject, told`${sentence} No action asks for it.`)
    : {
        level: 'error',
        subject,
        sentence:
          askers.length === 1
            ? told`${sentence} ${some(askers)} asks for it, and will not be run.`
            : told`${sentence} ${some(askers)} ask for it, and will not be run.`,
        remedy,
      }

const some = (names: readonly string[]) =>
  names.length > 3 ? told`${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')

// That the actions cannot be read is told by another finding.
const entriesOf = async (config: Config): Promise<readonly ActionEntry[]> => {
  try {
    return (await loadCatalog(config)).entries
  } catch {
    return []
  }
}
