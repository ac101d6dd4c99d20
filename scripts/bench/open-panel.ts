import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { launcher } from '../../app/paths.ts'
import { freePort } from '../../test/helpers/browser.ts'
import { until } from './until.ts'

const password = 'a lantern over the harbour'

/** A panel in a process of its own, and somebody who is signed in there. It ends when it is disposed of, or with this process. */
export interface MeasuredPanel extends AsyncDisposable {
  pid: number
  port: number
  runtime: string
  cookie: string
  residentMb(): number
  descriptors(): number
}

export const openPanel = async (runtime: string, env: Record<string, string> = {}): Promise<MeasuredPanel> => {
  const port = await freePort()
  const child = spawn(process.execPath, [launcher, 'serve'], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME ?? '/',
      BGTASK_RUNTIME: runtime,
      PORT: String(port),
      BGTASK_AUTOSTART: 'off',
      BGTASK_ADMIN_PASSWORD: password,
      BGTASK_TRUST_PROXY: '127.0.0.1',
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
    runtime,
    cookie: await signIn(address),
    residentMb: () => (Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) * 1024) / 1e6,
    descriptors: () => readdirSync(`/proc/${child.pid}/fd`).length,
    [Symbol.asyncDispose]: async () => {
      process.off('exit', kill)
      const ended = once(child, 'exit')
      kill()
      await ended
    },
  }
}

const signIn = async (address: string): Promise<string> => {
  const form = await fetch(`${address}/admin/login`)
  const token = /name="_csrf" value="([^"]+)"/.exec(await form.text())![1]!
  const signedIn = await fetch(`${address}/admin/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: address, cookie: cookieOf(form) },
    body: new URLSearchParams({ _csrf: token, name: 'admin', password }),
  })
  if (signedIn.status !== 303) throw new Error(`Signing in was answered by ${signedIn.status}.`)
  return cookieOf(signedIn)
}

const cookieOf = (answer: Response): string =>
  answer.headers
    .getSetCookie()
    .map(one => one.split(';')[0])
    .join('; ')
