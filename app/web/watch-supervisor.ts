import { hostname } from 'node:os'
import type { Background } from '../api/background.ts'
import { messageOf } from '../errors.ts'
import { hostId } from '../runs/host-id.ts'
import { deadSupervisor, type SupervisorInfo } from '../runs/supervisor-file.ts'
import { findTaskByKey } from '../store/find-task.ts'
import { noteIncidentsAlone } from '../store/note-incidents.ts'
import { countPending } from '../store/notices.ts'
import { type Channel, channelsOf, type Notify, tellerKey } from '../task/notify.ts'
import { runForDebug } from './debug-run.ts'

const lookMs = 2_000
/** Whoever starts it again by itself, as systemd does, has done so by then. */
const patienceMs = 10_000
const firstRetryMs = 30_000
const lastRetryMs = 600_000
const sendingMs = 200_000

/**
 * A supervisor that vanishes cannot tell so itself: the panel beside it does, as long as none is back. One that left in good order took its
 * file with it, and is none that is missed. Without notifications nobody looks.
 */
export const watchSupervisor = ({ config, db }: Background, notify: Notify): { end(): Promise<void> } => {
  const over = new AbortController()
  let gone: { since: number; at: number; isNoted: boolean; nextTryAt: number; waitMs: number } | null = null

  const look = async () => {
    const dead = deadSupervisor(config.runtime)
    if (dead === null) {
      gone = null
      return
    }
    const now = performance.now()
    gone ??= { since: now, at: Date.now(), isNoted: false, nextTryAt: now, waitMs: firstRetryMs }
    if (now - gone.since < patienceMs) return
    if (!gone.isNoted) await note(dead, gone.at)
    gone.isNoted = true
    if (performance.now() < gone.nextTryAt) return
    gone.nextTryAt = performance.now() + gone.waitMs
    gone.waitMs = Math.min(lastRetryMs, gone.waitMs * 2)
    for (const channel of channelsOf(notify)) if ((await countPending(db, channel, Date.now())) > 0) await tell(channel)
  }

  const note = async ({ pid }: SupervisorInfo, at: number) => {
    const host = hostId(config.runtime)
    console.error(`The supervisor (process ${pid}) has vanished without having been stopped.`)
    const facts = { hostname: hostname(), pid }
    const opening = { do: 'open', kind: 'supervisor-gone', of: host, at, taskId: null, number: null, action: null, host, facts } as const
    await noteIncidentsAlone(db, notify, [{ ...opening, lines: () => null }])
  }

  // What the supervisor would have run is run from here, in a process of its own as well.
  const tell = async (channel: Channel) => {
    const task = await findTaskByKey(db, tellerKey(channel))
    if (task === null) return
    let said = ''
    const print = async (text: string) => {
      said = (said + text).slice(-2_000)
    }
    await runForDebug(config, task, { limitMs: sendingMs, signal: over.signal, print })
    console.error(said.trimEnd().split('\n').at(-1) ?? '')
  }

  let looking: Promise<void> | null = null
  const timer = setInterval(() => {
    looking ??= look()
      .catch((error: unknown) => console.error(`Whether the supervisor is there could not be told: ${messageOf(error)}`))
      .finally(() => {
        looking = null
      })
  }, lookMs).unref()
  return {
    end: async () => {
      clearInterval(timer)
      over.abort()
      await looking
    },
  }
}
