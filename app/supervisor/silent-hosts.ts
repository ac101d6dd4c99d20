import type { Host } from '../store/hosts.ts'

/** Supervisors give a sign of life every few seconds; one that gave none for this long is told. */
export const silentAfterMs = 60_000
/** Whoever had been silent for longer when we began to look is an old matter: a host that was given up. */
const oldMatterMs = 600_000
/** Whoever did not look for so long was away itself, and knows nothing of the others. */
const absentMs = 20_000

interface Seen {
  epoch: string
  beat: number
  /** When it last was another than before; monotonic. */
  movedAt: number
  isWatched: boolean
  isSilent: boolean
}

/**
 * Which other hosts of this database have fallen silent, and which are back. By how long their beats stand still on our monotonic clock: nobody's
 * time of day is compared with ours, but for the first look.
 */
export class SilentHosts {
  readonly #own: string
  readonly #seen = new Map<string, Seen>()
  #lookedAt = Number.NEGATIVE_INFINITY

  /** @param own host, which is not watched */
  constructor(own: string) {
    this.#own = own
  }

  /** @param now monotonic milliseconds @param wallNow milliseconds since 1970 */
  look(hosts: readonly Host[], now: number, wallNow: number): { silent: (Host & { silentMs: number })[]; back: Host[] } {
    const wasAbsent = now - this.#lookedAt > absentMs
    this.#lookedAt = now
    const silent: (Host & { silentMs: number })[] = []
    const back: Host[] = []
    for (const host of hosts) {
      if (host.host === this.#own) continue
      const seen = this.#seen.get(host.host) ?? this.#first(host, now, wallNow)
      const { epoch, beat, leftAt } = host
      const hasMoved = seen.epoch !== epoch || seen.beat !== beat
      if (hasMoved) Object.assign(seen, { epoch, beat, movedAt: now, isWatched: true })
      else if (wasAbsent && !seen.isSilent) seen.movedAt = now
      if (leftAt !== null) seen.isWatched = false
      if (seen.isSilent && (hasMoved || leftAt !== null)) {
        seen.isSilent = false
        back.push(host)
      }
      const silentMs = now - seen.movedAt
      if (!seen.isWatched || seen.isSilent || silentMs < silentAfterMs) continue
      seen.isSilent = true
      silent.push({ ...host, silentMs })
    }
    return { silent, back }
  }

  #first({ host, epoch, beat, beatAt }: Host, now: number, wallNow: number): Seen {
    const seen = { epoch, beat, movedAt: now, isWatched: wallNow - beatAt < oldMatterMs, isSilent: false }
    this.#seen.set(host, seen)
    return seen
  }
}
