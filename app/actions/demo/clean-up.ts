import { readdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { defineAction } from '../../index.ts'

/*
 * Meant for a schedule. Nothing declares it by itself; an application would, at its start:
 *
 *   import { addSchedule } from 'bgtask'
 *
 *   await addSchedule('nightly-clean-up', {
 *     cron: '30 2 * * *', // also on the two nights on which the clock is set: once each
 *     timeZone: 'Europe/Berlin',
 *     action: 'demo/clean-up',
 *     params: { days: 30 },
 *     missed: 'once', // the machine was off: once when it is back
 *     overlap: 'skip', // never two at once
 *   })
 */
export default defineAction({
  description: 'Removes exports of demo/csv-export that are older than some days: an example for a schedule.',
  params: {
    type: 'object',
    properties: { days: { type: 'integer', title: 'Older than so many days', minimum: 1, maximum: 3650, default: 30 } },
    additionalProperties: false,
  },
  execType: 'ONCE',
  async execute({ params, signal, log }) {
    const before = Date.now() - (params.days ?? 30) * 86_400_000
    const folder = resolve(process.env.BGTASK_RUNTIME ?? 'runtime', 'exports')
    const names = (await readdir(folder).catch(() => [])).filter(name => name.endsWith('.csv'))
    let removed = 0
    for (const name of names) {
      signal.throwIfAborted()
      const path = join(folder, name)
      if ((await stat(path)).mtimeMs >= before) continue
      await rm(path)
      log('removed', { name })
      removed++
    }
    return `Removed ${removed} of ${names.length} exports.`
  },
})
