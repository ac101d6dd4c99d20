import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { FileIdentity } from './artifacts-file.ts'
import { openDeclared } from './open-declared.ts'

/*
 * A program of its own, started as the user whose run declared a file: `node read-as-user.js <json>` opens it, says how it lies there in a line of
 * JSON on descriptor 3, reads from stdin which bytes are wanted (`<first> <last>`), and writes them to stdout. What that user may not read, nobody
 * gets this way.
 */
const { unchangedSince, ...file } = JSON.parse(process.argv[2] ?? '{}') as FileIdentity & { path: string; unchangedSince: number | null }
const opened = await openDeclared(file, unchangedSince)
writeSync(3, `${JSON.stringify(typeof opened === 'string' ? { trouble: opened } : { state: opened.state })}\n`)
if (typeof opened !== 'string') {
  const [first, last] = (await text(process.stdin)).split(' ').map(Number)
  if (first !== undefined && last !== undefined && last >= first)
    await pipeline(opened.handle.createReadStream({ start: first, end: last }), process.stdout)
  if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain')
}
process.exit(0)
