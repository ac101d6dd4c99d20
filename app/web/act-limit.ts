/** Lets one act through in a while. */
export interface ActLimit {
  /** @returns how many milliseconds are still to be waited; 0: the place is taken, and the act may be done */
  take(): number
  /** Nothing was done after all, so the next one need not wait for it. */
  giveBack(): void
}

export const createActLimit = (everyMs: number, now: () => number = () => performance.now()): ActLimit => {
  let last = -Infinity
  let before = -Infinity
  return {
    take() {
      const waitMs = last + everyMs - now()
      if (waitMs > 0) return waitMs
      before = last
      last = now()
      return 0
    },
    giveBack() {
      last = before
    },
  }
}
