import { outcomeKinds } from '../../task/outcome.ts'
import { type Facts, mostActions } from './facts.ts'
import { type Metric, one, type Sample, seconds } from './metric.ts'

/** What is counted of runs, of tasks and loops alike. */
export const runMetrics: readonly Metric[] = [
  {
    name: 'bgtask_runs_total',
    help: `Runs that ended, of tasks and loops, by action and outcome; 0 where none did. They count on when their tasks are gone. At most ${mostActions} actions are told, the first by name.`,
    type: 'counter',
    labels: ['action', 'outcome'],
    read: ofActions((action, counts) =>
      outcomeKinds.map(outcome => ({ value: counts.find(count => count.outcome === outcome)?.n ?? 0, labels: { action, outcome } })),
    ),
  },
  {
    name: 'bgtask_action_last_success_timestamp_seconds',
    help: 'When a run of the action last succeeded, in seconds since 1970; not there before one did.',
    type: 'gauge',
    labels: ['action'],
    read: ofActions((action, counts) => {
      const succeeded = counts.find(({ outcome }) => outcome === 'succeeded')
      return one(succeeded && seconds(succeeded.lastAt), { action })
    }),
  },
]

type Counts = NonNullable<Facts['rows']>['runs']

// An action of which nothing ended yet is told too: a counter that begins with 1 is no rise to Prometheus, and the first failure would go unseen.
function ofActions(measure: (action: string, counts: Counts) => Sample[]) {
  return ({ rows, actions }: Facts): Sample[] => {
    if (!rows) return []
    const counted = Map.groupBy(rows.runs, ({ action }) => action)
    const names = [...new Set([...actions, ...counted.keys()])].sort().slice(0, mostActions)
    return names.flatMap(action => measure(action, counted.get(action) ?? []))
  }
}
