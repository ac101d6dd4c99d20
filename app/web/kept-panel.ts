import { once } from 'node:events'
import type { Server } from 'node:http'
import { messageOf } from '../errors.ts'
import { packageVersion } from '../paths.ts'
import { type PanelInfo, panelProcesses, writePanel } from '../runs/panel-file.ts'
import { identify } from '../runs/process-identity.ts'
import { handOver, stopAccepting } from './hand-over.ts'
import { httpLimits } from './http-server.ts'

/** How long a panel that has handed over may take to finish: no connection is closed before the time that was promised to it. Milliseconds. */
export const drainMs = httpLimits.keepAliveMs + 10_000

/**
 * Says who this panel is, and reloads it on SIGHUP: a new process with fresh code and configuration takes the socket over. When that fails
 * everything stays as it was, and the log and the file tell why.
 * @returns done when a new one answers in our place
 */
export const keepPanel = (runtime: string, server: Server, where: Pick<PanelInfo, 'address' | 'host' | 'port'>): Promise<void> => {
  const own = identify(process.pid)!
  const info = { ...own, ...where, version: packageVersion(), startedAt: Date.now(), failedReload: null }
  const leaving = () =>
    panelProcesses(runtime)
      .filter(({ pid }) => pid !== own.pid)
      .map(({ pid, startTicks, bootId }) => ({ pid, startTicks, bootId }))
  return new Promise(resolve => {
    let isUnderWay = false
    const reload = async () => {
      if (isUnderWay) return
      isUnderWay = true
      try {
        const { pid } = await handOver(server, where.port)
        console.log(`The panel reloads: process ${pid} answers now.`)
        resolve()
      } catch (error) {
        const why = messageOf(error)
        console.error(`The panel did not reload: ${why}. It goes on as it was.`)
        writePanel(runtime, { ...info, leaving: leaving(), failedReload: { at: Date.now(), why } })
        isUnderWay = false
      }
    }
    process.on('SIGHUP', () => void reload())
    writePanel(runtime, { ...info, leaving: leaving() })
  })
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
