import { readdirSync, readFileSync } from 'node:fs'
import { type ServedPanel, servePanel } from './serve-panel.ts'

const password = 'a lantern over the harbour'

/** A panel, and somebody who is signed in there. */
export interface MeasuredPanel extends ServedPanel {
  runtime: string
  cookie: string
  residentMb(): number
  descriptors(): number
}

export const openPanel = async (runtime: string, env: Record<string, string> = {}): Promise<MeasuredPanel> => {
  const panel = await servePanel(runtime, { BGTASK_ADMIN_PASSWORD: password, BGTASK_TRUST_PROXY: '127.0.0.1', ...env })
  return {
    ...panel,
    runtime,
    cookie: await signIn(panel.address),
    residentMb: () => (Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${panel.pid}/status`, 'utf8'))![1]) * 1024) / 1e6,
    descriptors: () => readdirSync(`/proc/${panel.pid}/fd`).length,
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
