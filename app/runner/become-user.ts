import type { RunUser } from '../runs/run-user.ts'

/** This process goes on as another user, for good: root's rights go with root. @throws when the kernel refuses; then nothing of the action has begun */
export const becomeUser = ({ uid, gid, home, initGroups }: RunUser): void => {
  if (initGroups) system.initgroups(uid, gid)
  else system.setgroups([gid])
  system.setgid(gid)
  system.setuid(uid)
  process.env.HOME = home
}

// On every system that knows users; the types leave one of them out.
const system = process as typeof process &
  Required<Pick<NodeJS.Process, 'setgroups' | 'setgid' | 'setuid'>> & { initgroups(user: number, group: number): void }
