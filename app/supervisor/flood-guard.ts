import { parentPort } from 'node:worker_threads'
import { type GuardedRun, OutputGuard } from './output-guard.ts'

/*
 * The thread that guards runs which flood. The supervisor's own thread may be held up by a commit, and a flood is just what makes a
 * disk slow to commit; here nothing waits for anything but the flood itself.
 */
export type FloodOrder = { guard: GuardedRun } | { release: string } | 'end'

const guards = new Map<string, OutputGuard>()

parentPort?.on('message', (order: FloodOrder) => {
  if (order === 'end') parentPort?.close()
  else if ('guard' in order) {
    guards.set(order.guard.folder, new OutputGuard(order.guard, sentence => parentPort?.postMessage(sentence)))
  } else {
    guards.get(order.release)?.close()
    guards.delete(order.release)
  }
})
