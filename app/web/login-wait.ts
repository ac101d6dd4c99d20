/** Whom failed logins are counted for: the name that was tried, and the address (of IPv6 the network) that tried. */
export const subjectsOf = (name: string, ip: string): string[] => [`user:${name.trim().toLowerCase().slice(0, 64)}`, `ip:${networkOf(ip)}`]

/**
 * How long to wait before the next try is looked at: nothing for the first failures, then doubling. A delay and never a lock-out,
 * else anybody could keep the only administrator out.
 */
export const loginWaitMs = (failures: readonly { subject: string; failures: number; lastAt: number }[], now: number): number => {
  const waits = failures.map(({ subject, failures: count, lastAt }) => {
    const free = subject.startsWith('user:') ? 4 : 9
    if (count <= free) return 0
    const longestMs = subject.startsWith('user:') ? 60_000 : 300_000
    const delayMs = Math.min(longestMs, 1000 * 2 ** Math.min(20, count - free - 1))
    // A failure is forgotten after a quiet hour.
    return now - lastAt > 3_600_000 ? 0 : lastAt + delayMs - now
  })
  return Math.max(0, ...waits)
}

const networkOf = (ip: string) => {
  if (!ip.includes(':') || ip.startsWith('::ffff:')) return ip.replace('::ffff:', '')
  const [head = '', tail = ''] = ip.split('::')
  const left = head.split(':').filter(Boolean)
  const right = tail.split(':').filter(Boolean)
  const groups = ip.includes('::') ? [...left, ...Array(8 - left.length - right.length).fill('0'), ...right] : left
  return `${groups.slice(0, 4).join(':')}::/64`
}
