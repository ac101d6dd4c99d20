import { once } from 'node:events'
import type { Server } from 'node:http'
import { messageOf } from '../errors.ts'
import { packageVersion } from '../paths.ts'
import { type PanelInfo, panelProcesses, writePanel } from '../runs/panel-file.ts'
import { identify, isAlive, type ProcessIdentity } from '../runs/process-identity.ts'
import { sendSignal } from '../runs/send-signal.ts'
import { handOver, type Listening, stopAccepting } from './hand-over.ts'
import { httpLimits } from './http-server.ts'

/** How long a panel that has handed over may take to finish: no connection is closed before the time that was promised to it. Milliseconds. */
export const drainMs = httpLimits.keepAliveMs + 10_000

export interface KeptPanel {
  /** Done when a new one answers in our place. */
  handedOver: Promise<void>
  /** This panel is to end: a reload that is under way is given up, and the new panel ends as well. */
  abandon(): void
}

/**
 * Says who this panel is, and reloads it on SIGHUP: a new process with fresh code and configuration takes the sockets over. When that fails
 * everything stays as it was, and the log and the file tell why. A SIGHUP during a reload is not lost: what was changed since may have been read
 * before, so another reload follows.
 * @throws when panel.pid cannot be written
 */
export const keepPanel = (runtime: string, listening: Listening, where: Pick<PanelInfo, 'address' | 'host' | 'port'>): KeptPanel => {
  const own = identify(process.pid)!
  const info = { ...own, ...where, version: packageVersion(), startedAt: Date.now(), failedReload: null }
  const leaving = () =>
    panelProcesses(runtime)
      .filter(({ pid }) => pid !== own.pid)
      .map(({ pid, startTicks, bootId }) => ({ pid, startTicks, bootId }))
  const { promise: handedOver, resolve: hasHandedOver } = Promise.withResolvers<void>()
  const ending = new AbortController()
  let isHandedOver = false
  let successor: ProcessIdentity | null = null
  let isUnderWay = false
  let isAskedAgain = false

  const pass = () => {
    if (successor && isAlive(successor)) sendSignal(successor.pid, 'SIGHUP')
  }
  const reload = async () => {
    isAskedAgain = false
    try {
      const { pid } = await handOver(listening, { signal: ending.signal })
      console.log(`The panel reloads: process ${pid} answers now.`)
      isHandedOver = true
      successor = identify(pid!)
      if (isAskedAgain) pass()
      hasHandedOver()
    } catch (error) {
      if (ending.signal.aborted) return
      const why = messageOf(error)
      try {
        writePanel(runtime, { ...info, leaving: leaving(), failedReload: { at: Date.now(), why } })
      } catch (fault) {
        console.error(`Nobody who waits for this reload can be told of it: ${messageOf(fault)}.`)
      }
      console.error(`The panel did not reload: ${why}. It goes on as it was.`)
      if (isAskedAgain) await reload()
    }
  }
  process.on('SIGHUP', () => {
    if (isHandedOver) return pass()
    isAskedAgain = true
    if (isUnderWay) return
    isUnderWay = true
    void reload().finally(() => {
      isUnderWay = false
    })
  })
  writePanel(runtime, { ...info, leaving: leaving() })
  return { handedOver, abandon: () => ending.abort() }
}

/** Finishes what is under way; whoever comes on a connection that was open is answered, and told to come anew. */
export const drain = async (server: Server): Promise<void> => {
  const over = once(server, 'close')
  server.prependListener('request', (_request, response) => response.setHeader('connection', 'close'))
  stopAccepting(server)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>(resolve => {
    timer = setTimeout(resolve, drainMs)
  })
  await Promise.race([over, late])
  clearTimeout(timer)
}
