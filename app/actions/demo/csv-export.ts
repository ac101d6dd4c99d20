import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { defineAction } from '../../index.ts'

const bytesPerWrite = 262_144
const longestRow = 64

export default defineAction({
  description: 'Writes a large CSV file, ten million rows by default, row by row in little memory.',
  params: {
    type: 'object',
    properties: { rows: { type: 'integer', title: 'Rows', minimum: 0, maximum: 1_000_000_000, default: 10_000_000 } },
    additionalProperties: false,
  },
  execType: 'ONCE',
  async execute({ params, task, run, signal, progress, artifact }) {
    const rows = params.rows ?? 10_000_000
    const folder = resolve(process.env.BGTASK_RUNTIME ?? 'runtime', 'exports')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const path = join(folder, `${compactTime(new Date())}-${task.id}-${run.number}.csv`)
    // Under another name until it is complete, so that nobody takes a part for the whole.
    const partial = `${path}.part`
    try {
      await using file = await open(partial, 'w', 0o600)
      await file.writeFile('\ufeffnum,datetime\r\n') // the mark tells spreadsheets that this is UTF-8
      const buffer = Buffer.allocUnsafe(bytesPerWrite + longestRow)
      for (let done = 0; done < rows; ) {
        const afterNumber = Buffer.from(`,${readableTime(new Date())}\r\n`)
        let filled = 0
        while (filled < bytesPerWrite && done < rows) {
          filled = writeNumber(buffer, ++done, filled)
          buffer.set(afterNumber, filled)
          filled += afterNumber.length
        }
        // The next rows are made when these are written: however slow the disk, no more than these are in memory.
        signal.throwIfAborted()
        await file.writeFile(buffer.subarray(0, filled))
        progress(done, rows, 'rows')
      }
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    }
    await rename(partial, path)
    artifact(path)
    return path
  },
})

/** Digits go straight into the buffer, since a text for each row would be gigabytes of garbage. @returns where the number ends */
const writeNumber = (buffer: Buffer, value: number, at: number): number => {
  let end = at + 1
  for (let rest = value; rest >= 10; rest = Math.trunc(rest / 10)) end++
  for (let place = end - 1, rest = value; place >= at; place--, rest = Math.trunc(rest / 10)) buffer[place] = 48 + (rest % 10)
  return end
}

/** 2026-01-31 08:05:09, local time. */
const readableTime = (at: Date) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${at.toTimeString().slice(0, 8)}`

/** 20260131080509 */
const compactTime = (at: Date) => readableTime(at).replace(/\D/g, '')

const two = (value: number) => String(value).padStart(2, '0')
