import { parentPort } from 'node:worker_threads'
import { type GuardedRun, OutputGuard } from './output-guard.ts'

/*
 * The thread that guards runs which flood. The supervisor's own thread may be held up by a commit, and a flood is just what makes a
 * disk slow to commit; here nothing waits for anything but the flood itself.
 */
export type FloodOrder = { guard: GuardedRun } | { release: string } | 'end'
/** What it tells: a trouble, or the folder of a run that has printed more than it may. */
export type FloodReport = { trouble: string } | { beyond: string }

const guards = new Map<string, OutputGuard>()

parentPort?.on('message', (order: FloodOrder) => {
  if (order === 'end') parentPort?.close()
  else if ('guard' in order) {
    const { folder } = order.guard
    const tell = (report: FloodReport) => parentPort?.postMessage(report)
    guards.set(folder, new OutputGuard(order.guard, { trouble: trouble => tell({ trouble }), beyond: () => tell({ beyond: folder }) }))
  } else {
    guards.get(order.release)?.close()
    guards.delete(order.release)
  }
})
