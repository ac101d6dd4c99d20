import type { StopRequest } from '../runs/stop-file.ts'

/** Why a run is asked to stop; becomes the kind of its outcome when it ends because of that. */
export type StopWord = StopRequest['why']

/** The wish that the run under way comes to its end. */
export interface Stop {
  /** null while nobody asked. */
  readonly asked: StopWord | null
  /** The action has taken the signal, so it can know of a stop. */
  readonly watched: boolean
  /** Aborts, with an AbortError as its reason, when a stop is asked for. */
  readonly signal: AbortSignal
  ask(why: StopWord): void
  /** Calls `act` once when a stop is asked for, at once if it was already. @returns how to take that back */
  whenAsked(act: () => void): () => void
}

export const createStop = (): Stop => {
  const waiting = new Set<() => void>()
  let asked: StopWord | null = null
  // Made when first looked at: most runs never do, and what never looked cannot have ended because of it.
  let controller: AbortController | undefined
  return {
    get asked() {
      return asked
    },
    get watched() {
      return controller !== undefined
    },
    get signal() {
      controller ??= new AbortController()
      if (asked && !controller.signal.aborted) controller.abort(stopError(asked))
      return controller.signal
    },
    ask(why) {
      if (asked) return
      asked = why
      controller?.abort(stopError(why))
      for (const act of waiting) act()
      waiting.clear()
    },
    whenAsked(act) {
      if (asked) {
        act()
        return () => {}
      }
      waiting.add(act)
      return () => waiting.delete(act)
    },
  }
}

/** Thrown because of a stop: fetch and streams throw the reason itself, timers and events an AbortError caused by it. */
export const isStopError = (thrown: unknown): boolean => thrown instanceof Error && thrown.name === 'AbortError'

const sentences = {
  interrupted: 'The run is asked to stop; it will be run again.',
  cancelled: 'The run is asked to stop: its task was cancelled.',
  'timed-out': 'The run is asked to stop: its time limit is over.',
} as const satisfies Record<StopWord, string>

const stopError = (why: StopWord) => new DOMException(sentences[why], 'AbortError')
