import { statfs } from 'node:fs/promises'
import { freemem, totalmem } from 'node:os'
import { defineAction, execForeverInterval } from '../../index.ts'

export default defineAction({
  description: 'A loop that measures free disk space and memory of this host, and warns when little is left.',
  params: {
    type: 'object',
    properties: {
      path: { type: 'string', title: 'A folder on the disk to watch', minLength: 1, default: '/' },
      warnBelowPercent: { type: 'number', title: 'Warn below so many percent free', minimum: 0, maximum: 100, default: 10 },
      intervalMs: { type: 'integer', title: 'Milliseconds between two looks', minimum: 100, maximum: 86_400_000, default: 60_000 },
    },
    additionalProperties: false,
  },
  execType: 'FOREVER',
  execute: ({ params }) => {
    const { path = '/', warnBelowPercent = 10, intervalMs = 60_000 } = params
    return execForeverInterval(async ({ log }) => {
      const disk = await statfs(path)
      const free = { disk: percent(disk.bavail, disk.blocks), memory: percent(freemem(), totalmem()) }
      const fields = { path, diskFreePercent: free.disk, memoryFreePercent: free.memory }
      if (free.disk < warnBelowPercent) log.warn('little disk space is left', fields)
      else if (free.memory < warnBelowPercent) log.warn('little memory is left', fields)
      else log('measured', fields)
    }, intervalMs)
  },
})

const percent = (part: number, whole: number) => Math.round((part / whole) * 1000) / 10
