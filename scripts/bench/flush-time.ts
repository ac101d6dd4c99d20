import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from './statistics.ts'

/** What the disk below a folder takes to keep two pages for good, which is what a small commit waits for: p50, in milliseconds. */
export const flushTimeMs = async (folder: string): Promise<number> => {
  const path = join(folder, 'flushed')
  const descriptor = openSync(path, 'w')
  const pages = Buffer.alloc(8_192)
  const times: number[] = []
  try {
    for (let one = 0; one < 100; one++) {
      const beganAt = performance.now()
      writeSync(descriptor, pages)
      fdatasyncSync(descriptor)
      times.push(performance.now() - beganAt)
      await sleep(10)
    }
  } finally {
    closeSync(descriptor)
    rmSync(path)
  }
  return percentile(times, 50)
}
