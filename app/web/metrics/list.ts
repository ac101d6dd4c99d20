import { lastSuccessOf } from '../../runs/beat.ts'
import { isSilent, type ResidentInfo } from '../../runs/supervisor-file.ts'
import { countCap } from '../../store/count-tasks.ts'
import { type LoopState, loopStates } from '../../task/task.ts'
import { version } from '../version.ts'
import { type Facts, type MeasuredLoop, mostLoops } from './facts.ts'
import { type Metric, one, type Sample, seconds } from './metric.ts'
import { runMetrics } from './run-metrics.ts'

const flag = (value: boolean) => (value ? 1 : 0)

const ofLoops = (measure: (loop: MeasuredLoop, facts: Facts) => number | null | undefined) => (facts: Facts) =>
  facts.loops.flatMap(loop => one(measure(loop, facts), labelsOf(loop)))

const ofLoop = ['task', 'action']
const labelsOf = ({ id, action }: MeasuredLoop) => ({ task: String(id), action })

const isUp = ({ row, here }: MeasuredLoop) => (row === null ? here !== null : row.state === 'running')

const loopsIn = ({ rows }: Facts, state: LoopState) => rows?.loops.filter(loop => loop.state === state).length ?? 0

const dayMs = 86_400_000

const residentsBy = (facts: Facts, what: (resident: ResidentInfo) => number): Sample[] => {
  const byAction = Map.groupBy(facts.supervisor?.info.residents ?? [], ({ action }) => action)
  return [...byAction].map(([action, residents]) => ({ value: residents.reduce((sum, one) => sum + what(one), 0), labels: { action } }))
}

export const metrics: readonly Metric[] = [
  {
    name: 'bgtask_build_info',
    help: 'Versions, in the labels; always 1.',
    type: 'gauge',
    labels: ['version', 'node', 'database'],
    read: ({ dialect }) => [{ value: 1, labels: { version, node: process.versions.node, database: dialect } }],
  },
  {
    name: 'bgtask_host_info',
    help: 'The host of this panel, in the labels; always 1.',
    type: 'gauge',
    labels: ['host', 'hostname'],
    read: ({ host }) => [{ value: 1, labels: { host: host.id, hostname: host.hostname } }],
  },

  // Database
  {
    name: 'bgtask_database_up',
    help: 'Whether the database answers the panel. While it does not, what comes of rows is left out.',
    type: 'gauge',
    read: ({ rows }) => [{ value: flag(rows !== null) }],
  },
  {
    name: 'bgtask_database_answer_seconds',
    help: 'How long it took to read what is told here.',
    type: 'gauge',
    read: ({ answerMs }) => one(answerMs === null ? null : seconds(answerMs)),
  },
  {
    name: 'bgtask_database_size_bytes',
    help: 'Size of the files of SQLite; not there with a database server.',
    type: 'gauge',
    read: ({ databaseBytes }) => one(databaseBytes),
  },

  // Tasks
  {
    name: 'bgtask_tasks',
    help: `ONCE tasks by state. Those that wait or run are counted up to ${countCap}.`,
    type: 'gauge',
    labels: ['state'],
    read: facts => {
      if (!facts.rows) return []
      const { waiting, running, succeeded, failed, cancelled } = facts.rows.counts
      // Loops that run are counted with them.
      const counts = { waiting, running: Math.max(0, running - loopsIn(facts, 'running')), succeeded, failed, cancelled }
      return Object.entries(counts).map(([state, value]) => ({ value, labels: { state } }))
    },
  },
  {
    name: 'bgtask_tasks_ended_total',
    help: 'ONCE tasks that came to their end, by how.',
    type: 'counter',
    labels: ['state'],
    read: ({ rows }) => Object.entries(rows?.ended ?? {}).map(([state, value]) => ({ value, labels: { state } })),
  },
  {
    name: 'bgtask_oldest_due_task_age_seconds',
    help: 'For how long the task that has waited longest for its start is due; 0 when none is.',
    type: 'gauge',
    read: ({ rows, now }) => (rows ? [{ value: rows.firstDueAt === null ? 0 : seconds(Math.max(0, now - rows.firstDueAt)) }] : []),
  },

  ...runMetrics,

  // Loops
  {
    name: 'bgtask_loops',
    help: 'Loops by state.',
    type: 'gauge',
    labels: ['state'],
    read: facts => {
      const { rows } = facts
      if (!rows) return []
      const countOf = (state: LoopState) => (state === 'stopped' ? rows.counts.stopped : loopsIn(facts, state))
      return loopStates.map(state => ({ value: countOf(state), labels: { state } }))
    },
  },
  {
    name: 'bgtask_loop_up',
    help: `Whether a loop that is wanted up runs and is not stalled. Of each loop, as all that follow; at most ${mostLoops} loops are told one by one.`,
    type: 'gauge',
    labels: ofLoop,
    read: ofLoops(loop => flag(isUp(loop))),
  },
  {
    name: 'bgtask_loop_state',
    help: 'The state of a loop: 1 for the one that it is in, 0 for the others.',
    type: 'gauge',
    labels: [...ofLoop, 'state'],
    read: ({ loops }) =>
      loops.flatMap(loop =>
        loop.row === null
          ? []
          : loopStates.map(state => ({ value: flag(loop.row?.state === state), labels: { ...labelsOf(loop), state } })),
      ),
  },
  {
    name: 'bgtask_loop_starts_total',
    help: 'How often the loop was started; what is beyond the first are restarts.',
    type: 'counter',
    labels: ofLoop,
    read: ofLoops(({ row }) => row?.number),
  },
  {
    name: 'bgtask_loop_start_time_seconds',
    help: 'When the run that lives began, in seconds since 1970.',
    type: 'gauge',
    labels: ofLoop,
    read: ofLoops(({ here }) => here?.startedAt && seconds(here.startedAt)),
  },
  {
    name: 'bgtask_loop_next_start_timestamp_seconds',
    help: 'When a loop that backs off or is tripped is started again.',
    type: 'gauge',
    labels: ofLoop,
    read: ofLoops(({ row }) => (row && (row.state === 'backing-off' || row.state === 'tripped') ? seconds(row.runAt) : null)),
  },
  {
    name: 'bgtask_loop_last_success_timestamp_seconds',
    help: 'When an iteration was last finished that did not throw, or, of a loop without iterations, a run succeeded; in seconds since 1970. Kept over restarts, on whatever host; of other hosts up to a minute old.',
    type: 'gauge',
    labels: ofLoop,
    read: ofLoops(({ row, here }) => {
      const told = [row?.lastSuccessAt, here?.beat && lastSuccessOf(here.beat)].filter(at => typeof at === 'number')
      return told.length > 0 ? seconds(Math.max(...told)) : null
    }),
  },
  {
    name: 'bgtask_loop_iterations_total',
    help: 'Iterations that the run has finished; begins at 0 with each start. Of loops that use execForeverInterval, on this host, as all that follow.',
    type: 'counter',
    labels: ofLoop,
    read: ofLoops(({ here }) => here?.beat?.iterations),
  },
  {
    name: 'bgtask_loop_iteration_errors_total',
    help: 'Those of them that threw.',
    type: 'counter',
    labels: ofLoop,
    read: ofLoops(({ here }) => here?.beat?.errors),
  },
  {
    name: 'bgtask_loop_last_iteration_timestamp_seconds',
    help: 'When an iteration was last finished.',
    type: 'gauge',
    labels: ofLoop,
    read: ofLoops(({ here }) => here?.beat?.lastIterationAt && seconds(here.beat.lastIterationAt)),
  },
  {
    name: 'bgtask_loop_last_iteration_duration_seconds',
    help: 'How long that one took.',
    type: 'gauge',
    labels: ofLoop,
    read: ofLoops(({ here }) => {
      const lastMs = here?.beat?.lastIterationMs
      return typeof lastMs === 'number' ? seconds(lastMs) : null
    }),
  },
  {
    name: 'bgtask_loop_current_iteration_age_seconds',
    help: 'For how long the iteration under way runs; 0 between iterations.',
    type: 'gauge',
    labels: ofLoop,
    read: ofLoops(({ here }, { now }) => {
      if (!here?.beat) return null
      return here.beat.iterationStartedAt === null ? 0 : seconds(Math.max(0, now - here.beat.iterationStartedAt))
    }),
  },
  {
    name: 'bgtask_loop_memory_bytes',
    help: "Resident memory of the loop's process, without those that it started.",
    type: 'gauge',
    labels: ofLoop,
    read: ofLoops(({ here }) => here?.use?.memoryBytes),
  },
  {
    name: 'bgtask_loop_cpu_seconds_total',
    help: 'CPU time of that process; begins at 0 with each start.',
    type: 'counter',
    labels: ofLoop,
    read: ofLoops(({ here }) => inSeconds(here?.use?.cpuMs)),
  },

  // The supervisor of this host
  {
    name: 'bgtask_supervisor_up',
    help: 'Whether a supervisor lives on this host and gives signs of life.',
    type: 'gauge',
    read: ({ supervisor, now }) => [{ value: flag(supervisor !== null && !isSilent(supervisor.info, now)) }],
  },
  {
    name: 'bgtask_supervisor_on_hold',
    help: 'Whether somebody said that it shall stay down.',
    type: 'gauge',
    read: ({ isHeld }) => [{ value: flag(isHeld) }],
  },
  {
    name: 'bgtask_supervisor_info',
    help: 'Its version, phase and life (epoch), in the labels; always 1.',
    type: 'gauge',
    labels: ['version', 'phase', 'epoch'],
    read: ({ supervisor }) =>
      supervisor
        ? [{ value: 1, labels: { version: supervisor.info.version, phase: supervisor.info.phase, epoch: supervisor.info.epoch } }]
        : [],
  },
  {
    name: 'bgtask_supervisor_start_time_seconds',
    help: 'When it began, in seconds since 1970.',
    type: 'gauge',
    read: ({ supervisor }) => one(supervisor && seconds(supervisor.info.startedAt)),
  },
  {
    name: 'bgtask_supervisor_tick_age_seconds',
    help: 'For how long it has given no sign of life; it gives one every 2.5 s.',
    type: 'gauge',
    read: ({ supervisor, now }) => one(supervisor && seconds(Math.max(0, now - supervisor.info.tickAt))),
  },
  {
    name: 'bgtask_supervisor_database_up',
    help: 'Whether the database answers the supervisor.',
    type: 'gauge',
    read: ({ supervisor }) => one(supervisor && flag(supervisor.info.databaseAwaySince === null)),
  },
  {
    name: 'bgtask_supervisor_unrecorded_runs',
    help: 'Ended runs that wait in their folders to be recorded.',
    type: 'gauge',
    read: ({ supervisor }) => one(supervisor?.info.unrecorded),
  },
  {
    name: 'bgtask_supervisor_runs',
    help: 'Runs that it has now: once, forever.',
    type: 'gauge',
    labels: ['exec_type'],
    read: ({ supervisor }) =>
      supervisor
        ? [
            { value: supervisor.info.running, labels: { exec_type: 'once' } },
            { value: supervisor.info.loops, labels: { exec_type: 'forever' } },
          ]
        : [],
  },
  {
    name: 'bgtask_supervisor_memory_bytes',
    help: 'Its resident memory.',
    type: 'gauge',
    read: ({ supervisor }) => one(supervisor?.use?.memoryBytes),
  },
  {
    name: 'bgtask_supervisor_cpu_seconds_total',
    help: 'Its CPU time.',
    type: 'counter',
    read: ({ supervisor }) => one(inSeconds(supervisor?.use?.cpuMs)),
  },
  {
    name: 'bgtask_residents',
    help: 'Resident runners by action.',
    type: 'gauge',
    labels: ['action'],
    read: facts => residentsBy(facts, () => 1),
  },
  {
    name: 'bgtask_residents_blocked',
    help: 'Those of them that give no sign of life.',
    type: 'gauge',
    labels: ['action'],
    read: facts => residentsBy(facts, ({ blockedSince }) => flag(blockedSince !== null)),
  },
  {
    name: 'bgtask_resident_tasks_held',
    help: 'Tasks that they hold now.',
    type: 'gauge',
    labels: ['action'],
    read: facts => residentsBy(facts, ({ held }) => held),
  },

  // All hosts, and cron
  {
    name: 'bgtask_host_beat_age_seconds',
    help: 'For how long each host has given no sign of life; it gives one every 5 s. Hosts that left in good order, or over a day ago, are left out.',
    type: 'gauge',
    labels: ['host', 'hostname'],
    read: ({ rows, now }) =>
      (rows?.hosts ?? [])
        .filter(({ leftAt, beatAt }) => leftAt === null && now - beatAt < dayMs)
        .map(({ host, hostname, beatAt }) => ({ value: seconds(Math.max(0, now - beatAt)), labels: { host, hostname } })),
  },
  {
    name: 'bgtask_cron_last_run_timestamp_seconds',
    help: 'When cron was last begun.',
    type: 'gauge',
    read: ({ rows }) => one(rows?.cron.begunAt && seconds(rows.cron.begunAt)),
  },
  {
    name: 'bgtask_cron_part_last_success_timestamp_seconds',
    help: 'When a hook or queue last began what then ended well.',
    type: 'gauge',
    labels: ['kind', 'name'],
    read: ({ rows }) => (rows?.cron.parts ?? []).flatMap(({ kind, name, goodAt }) => one(goodAt && seconds(goodAt), { kind, name })),
  },

  // The panel and its disk
  {
    name: 'bgtask_disk_free_bytes',
    help: 'Free space where the runtime folder lies.',
    type: 'gauge',
    read: ({ disk }) => one(disk?.freeBytes),
  },
  {
    name: 'bgtask_disk_size_bytes',
    help: 'All space there.',
    type: 'gauge',
    read: ({ disk }) => one(disk?.sizeBytes),
  },
  {
    name: 'bgtask_live_streams',
    help: 'Open pages that are kept up to date by this panel.',
    type: 'gauge',
    read: ({ streams }) => [{ value: streams }],
  },
]

/** Filled while requests are answered. */
export const requestTimes = {
  name: 'bgtask_http_request_duration_seconds',
  labels: ['method', 'route', 'code'],
  help: 'How long requests to this panel took, by method, route and status, from the first scrape on; without those that wait on purpose.',
} as const

const inSeconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)
