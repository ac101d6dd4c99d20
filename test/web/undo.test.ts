import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { findTask } from '../../app/store/find-task.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let operator: SignedIn

before(async () => {
  panel = await listenPanel()
  operator = await panel.signIn('operator')
})
after(() => panel.close())

const address = (id: number) => `/admin/core/bgtask/${id}`
const page = async (id: number) => (await panel.ask({ url: address(id), as: operator })).body
const press = (path: string) => panel.ask({ method: 'POST', url: path, as: operator, body: {} })
const find = async (id: number) => (await findTask(panel.background.db, id))!
/** Where the button beside the message goes; null when there is none. */
const undoIn = (html: string) => /class="flash[^>]*>[\s\S]*?<\/p>/.exec(html)?.[0].match(/formaction="([^"]+)"/)?.[1] ?? null

test('a waiting task that is cancelled is put back by the button beside the message, as it was', async () => {
  const { id, runAt } = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000, unique: 'undo-1', maxAttempts: 3 })
  assert.match(await page(id), new RegExp(`Task ${id} does not run\\. It can be put back as it is now`))
  assert.equal((await press(`${address(id)}/cancellation`)).status, 303)
  const cancelled = await page(id)
  assert.match(cancelled, new RegExp(`Task ${id} is cancelled\\.`))
  assert.equal(undoIn(cancelled), `${address(id)}/return`)
  assert.equal((await press(undoIn(cancelled)!)).status, 303)
  const back = await find(id)
  assert.deepEqual([back.state, back.runAt, back.maxAttempts, back.attempt], ['waiting', runAt, 3, 0])
  const waiting = await page(id)
  assert.match(waiting, /waits again, as it did before it was cancelled/)
  assert.equal(undoIn(waiting), null)
  // The message is over, and the button is still on the page of one that was cancelled.
  await press(`${address(id)}/cancellation`)
  await page(id)
  assert.match(await page(id), new RegExp(`formaction="${address(id)}/return" class="primary"`))
  // A newer one has the key: it says so, and both stay as they are.
  const newer = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000, unique: 'undo-1' })
  await press(`${address(id)}/return`)
  assert.match(await page(id), /Another task holds the unique key/)
  assert.deepEqual([(await find(id)).state, (await find(newer.id)).state], ['cancelled', 'waiting'])
})

test('what was cancelled otherwise is not offered to be put back, and cannot be', async () => {
  const { id } = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000, unique: 'undo-2' })
  await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000, unique: 'undo-2', onConflict: 'replace' })
  const replaced = await page(id)
  assert.doesNotMatch(replaced, /\/return"/)
  await press(`${address(id)}/return`)
  assert.match(await page(id), /only one that was cancelled while it waited can be put back/)
  assert.equal((await find(id)).state, 'cancelled')
})

test('a loop that is stopped is started by the button beside the message; a deletion says that it has none', async () => {
  const { id } = await panel.background.addTask('test/forever', {}, 'FOREVER')
  await press(`${address(id)}/stop`)
  const stopped = await page(id)
  assert.equal(undoIn(stopped), `${address(id)}/start`)
  assert.match(stopped, new RegExp(`Task ${id}, its 0 runs and their output are deleted\\. This cannot be undone\\.`))
  await press(undoIn(stopped)!)
  assert.equal((await find(id)).wanted, 'up')
  await press(`${address(id)}/stop`)
  const answer = await press(`${address(id)}/deletion`)
  assert.equal(answer.headers.location, '/admin/core/bgtask')
  const list = (await panel.ask({ url: '/admin/core/bgtask', as: operator })).body
  assert.match(list, new RegExp(`Task ${id} is deleted`))
  assert.equal(undoIn(list), null)
})
