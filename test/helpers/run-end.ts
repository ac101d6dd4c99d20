import type { RunEnd } from '../../app/runs/outcome-file.ts'
import type { OutcomeKind } from '../../app/task/outcome.ts'

/** How a run ended of which nothing more is known than this. Its exit code is that of a process which left by itself. */
export const runEnd = (kind: OutcomeKind, endedAt: number, more: Partial<RunEnd> = {}): RunEnd => ({
  ...{ kind, content: null, error: null, exitCode: kind === 'succeeded' ? 0 : null, signal: null },
  ...{ endedAt, iterations: null, peakMemoryBytes: null, cpuMs: null },
  ...more,
})
