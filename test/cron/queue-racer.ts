import { openDatabase } from '../../app/store/database.ts'
import { claimItem, deleteItem, insertItem, putBack } from '../../app/store/queue-items.ts'

// One of several processes that work one queue; prints which items it has done as JSON.

const [url, name, count, leaseMs] = process.argv.slice(2) as [string, string, string, string]
const db = await openDatabase(url)
const done: number[] = []
let claims = 0
for (let added = 0; ; ) {
  if (added < Number(count)) {
    await insertItem(db, { queue: 'raced', data: { by: name, added }, now: Date.now() })
    added++
  }
  const item = await claimItem(db, 'raced', { now: Date.now(), leaseMs: Number(leaseMs) })
  if (item === null) {
    if (added < Number(count)) continue
    break
  }
  claims++
  const held = { id: item.id, claim: item.claim! }
  // Some are put back, so that an item goes through several hands.
  if (claims % 5 === 0) await putBack(db, held, { freeAt: Date.now() })
  else if (await deleteItem(db, held)) done.push(item.id)
}
console.log(JSON.stringify(done))
await db.close()
