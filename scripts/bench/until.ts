import { setTimeout as sleep } from 'node:timers/promises'

/** Asks every `everyMs` until something is so. @throws when it is not within the time, with what `otherwise` tells */
export const until = async <T>(
  what: string,
  ask: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  { everyMs = 5, withinMs = 60_000, otherwise = () => '' }: { everyMs?: number; withinMs?: number; otherwise?: () => string } = {},
): Promise<T> => {
  for (const deadline = performance.now() + withinMs; ; await sleep(everyMs)) {
    const answer = await ask()
    if (answer !== null && answer !== undefined && answer !== false) return answer
    if (performance.now() > deadline) throw new Error(`Not within ${withinMs} ms: ${what}. ${otherwise()}`)
  }
}
