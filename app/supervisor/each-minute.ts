const minuteMs = 60_000

/** Calls back so long after each minute of the clock, also when the clock was set meanwhile. @returns what ends it */
export const eachMinute = (afterMs: number, work: () => void): { close(): void } => {
  let timer: NodeJS.Timeout
  const plan = () => {
    timer = setTimeout(
      () => {
        work()
        plan()
      },
      minuteMs - ((Date.now() - afterMs) % minuteMs),
    )
  }
  plan()
  return { close: () => clearTimeout(timer) }
}
