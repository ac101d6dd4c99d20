import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { password, servePanel } from '../helpers/browser.ts'
import { until } from '../helpers/scene.ts'

test('fifty visits at once to panels that share a runtime folder start one loop', async t => {
  const first = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const panels = [
    first,
    ...(await Promise.all([1, 2].map(() => servePanel(t, { BGTASK_RUNTIME: first.runtime, BGTASK_ADMIN_PASSWORD: password })))),
  ]
  const cookies = await Promise.all(panels.map(({ address }) => signIn(address)))
  assert.equal(readSupervisor(first.runtime), null)
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, n) =>
      fetch(`${panels[n % 3]!.address}/admin`, { headers: { cookie: cookies[n % 3]! }, redirect: 'manual' }),
    ),
  )
  assert.deepEqual([...new Set(answers.map(answer => answer.status))], [200])
  const { pid, epoch } = await until('a supervisor is up', () => readSupervisor(first.runtime))
  await Promise.all(
    Array.from({ length: 50 }, (_, n) => fetch(`${panels[n % 3]!.address}/admin`, { headers: { cookie: cookies[n % 3]! } })),
  )
  const now = readSupervisor(first.runtime)
  assert.deepEqual([now?.pid, now?.epoch], [pid, epoch])
})

const signIn = async (address: string) => {
  const form = await fetch(`${address}/admin/login`)
  const before = cookieOf(form)
  const csrf = /name="_csrf" value="([^"]+)"/.exec(await form.text())![1]!
  const answer = await fetch(`${address}/admin/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: before, origin: address, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ _csrf: csrf, name: 'admin', password }).toString(),
  })
  assert.equal(answer.status, 303)
  return cookieOf(answer)
}
const cookieOf = (answer: Response) =>
  answer.headers
    .getSetCookie()
    .map(text => text.split(';')[0])
    .join('; ')
