/** Lets so many work at the same time; the others wait for their turn, in the order in which they came. */
export const createTurns = (atOnce: number) => {
  const waiting: (() => void)[] = []
  let working = 0
  return async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (working >= atOnce) await new Promise<void>(resolve => waiting.push(resolve))
    else working++
    try {
      return await work()
    } finally {
      // Whoever comes next has the place of the one who leaves.
      const next = waiting.shift()
      if (next) next()
      else working--
    }
  }
}
