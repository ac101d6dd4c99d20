import type { Db } from '../store/database.ts'
import { listHosts } from '../store/hosts.ts'
import { noteIncidentsAlone } from '../store/note-incidents.ts'
import type { Notify } from '../task/notify.ts'
import { SilentHosts } from './silent-hosts.ts'

/**
 * A host that dies with its panel, or is cut off, cannot tell so itself: the supervisors of the other hosts do. Several of them make one incident.
 * @returns looks once
 */
export const tellSilentHosts = (notify: Notify, own: string): ((db: Db) => Promise<void>) => {
  const hosts = new SilentHosts(own)
  return async db => {
    const now = Date.now()
    const { silent, back } = hosts.look(await listHosts(db), performance.now(), now)
    const openings = silent.map(({ host, hostname, pid, silentMs }) => {
      const at = now - Math.round(silentMs)
      const facts = { hostname, pid, silentSince: at }
      const ofNoTask = { taskId: null, number: null, action: null, lines: () => null }
      return { do: 'open', kind: 'supervisor-gone', of: host, at, host, facts, ...ofNoTask } as const
    })
    const closings = back.map(({ host }) => ({ do: 'close', kind: 'supervisor-gone', of: host, at: now, how: 'recovered' }) as const)
    if (openings.length + closings.length > 0) await noteIncidentsAlone(db, notify, [...openings, ...closings])
  }
}
