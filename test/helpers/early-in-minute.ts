import { setTimeout as delay } from 'node:timers/promises'

/** Waits for the next minute of the clock when less than this is left of this one: what is stored by the minute is looked at in the same one then. */
export const earlyInMinute = async (needMs: number): Promise<void> => {
  for (let leftMs = left(); leftMs < needMs; leftMs = left()) await delay(leftMs)
}

const left = () => 60_000 - (Date.now() % 60_000)
