import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { launcher } from '../../app/paths.ts'
import { freePort } from '../../test/helpers/free-port.ts'
import { until } from './until.ts'

/** A panel in a process of its own. It ends when it is disposed of, or with this process. */
export interface ServedPanel extends AsyncDisposable {
  pid: number
  port: number
  address: string
}

/** Waits until it answers. */
export const servePanel = async (runtime: string, env: Record<string, string>): Promise<ServedPanel> => {
  const port = await freePort()
  const child = spawn(process.execPath, [launcher, 'serve'], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME ?? '/',
      BGTASK_RUNTIME: runtime,
      PORT: String(port),
      BGTASK_AUTOSTART: 'off',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const address = `http://127.0.0.1:${port}`
  await until('the panel answers', () =>
    fetch(`${address}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  return {
    pid: child.pid!,
    port,
    address,
    [Symbol.asyncDispose]: async () => {
      process.off('exit', kill)
      const ended = once(child, 'exit')
      kill()
      await ended
    },
  }
}
