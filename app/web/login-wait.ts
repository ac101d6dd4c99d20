import { isIP } from 'node:net'

/**
 * Whom tries at a login are counted for. Of somebody unknown: the name that was tried, the address (of IPv6 the network) that tried, and
 * everybody in this minute. Of a browser that has signed in to that account before (known-device.ts): that browser alone, so that nobody
 * else's tries delay its owner.
 */
export const subjectsOf = ({ name, ip, device, now }: { name: string; ip: string; device: string | null; now: number }): string[] =>
  device === null
    ? [`user:${name.trim().toLowerCase().slice(0, 64)}`, `ip:${networkOf(ip)}`, `all:${Math.floor(now / minuteMs)}`]
    : [`device:${device}`]

/** The same for codes of the second factor: only who has given the right password comes so far. */
export const codeSubjectsOf = ({ userId, device }: { userId: number; device: string | null }): string[] => [
  device === null ? `code:${userId}` : `code:device:${device}`,
]

/** The same for a password that is asked for again: only who has a session comes so far. */
export const proofSubjectsOf = (userId: number): string[] => [`proof:${userId}`]

/** What an administrator with a shell clears, so that the account can be signed in to at once. */
export const clearedSubjectsOf = ({ id, name }: { id: number; name: string }): string[] => [
  `user:${name}`,
  ...codeSubjectsOf({ userId: id, device: null }),
  ...proofSubjectsOf(id),
]

/**
 * How long to wait before the next try is looked at, in ms: nothing for the first failures, then doubling. A delay and never a lock-out,
 * else anybody could keep the only administrator out.
 */
export const loginWaitMs = (failures: readonly { subject: string; failures: number; lastAt: number }[], now: number): number => {
  const waits = failures.map(({ subject, failures: count, lastAt }) => {
    const kind = subject.slice(0, subject.indexOf(':'))
    if (kind === 'all') return count < mostPerMinute ? 0 : minuteMs - (now % minuteMs)
    const { free, longestMs } = delays[kind]!
    if (count <= free || now - lastAt > forgottenMs) return 0
    return lastAt + Math.min(longestMs, 1000 * 2 ** Math.min(20, count - free - 1)) - now
  })
  return Math.max(0, ...waits)
}

/** A failure is forgotten after a quiet hour. */
export const forgottenMs = 3_600_000

/** More tries than that, by people we do not know, are not looked at in one minute, whoever makes them. */
export const mostPerMinute = 240

const minuteMs = 60_000

/** A code has a million values and three of them fit, so its delay grows longer: a hundred tries a day. */
const delays: Record<string, { free: number; longestMs: number }> = {
  user: { free: 4, longestMs: 60_000 },
  ip: { free: 9, longestMs: 300_000 },
  device: { free: 4, longestMs: 300_000 },
  code: { free: 4, longestMs: 900_000 },
  proof: { free: 4, longestMs: 300_000 },
}

/** An address; of IPv6 its /64, since whoever has one address there has all of them. */
export const networkOf = (given: string): string => {
  // A socket's address is written in one way; what a proxy says may be written in another.
  const ip = given.toLowerCase()
  if (isIP(ip) !== 6 || ip.startsWith('::ffff:')) return ip.replace('::ffff:', '').slice(0, 64)
  const [head = '', tail = ''] = ip.split('::')
  const left = head.split(':').filter(Boolean)
  const right = tail.split(':').filter(Boolean)
  const groups = ip.includes('::') ? [...left, ...Array(8 - left.length - right.length).fill('0'), ...right] : left
  return `${groups
    .slice(0, 4)
    .map(group => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
