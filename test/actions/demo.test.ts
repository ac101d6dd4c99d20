import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createReadStream, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inPackage } from '../../app/paths.ts'
import type { Ticket } from '../../app/runs/ticket.ts'
import type { Json } from '../../app/task/task.ts'
import { spawnRun } from '../runner/spawn-run.ts'

describe('demo/csv-export', () => {
  it('writes the rows it was asked for, with the mark of UTF-8, and says where', async () => {
    const runtime = mkdtempSync(join(tmpdir(), 'bgtask demo '))
    const run = await demo('csv-export', { rows: 123_456 }, { runtime })
    const { outcome } = await run.end()
    assert.equal(outcome?.kind, 'succeeded')
    const path = outcome.content!
    assert.match(basename(path), /^\d{14}-7-3\.csv$/)
    assert.deepEqual(readdirSync(join(runtime, 'exports')), [basename(path)])
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const text = readFileSync(path, 'utf8')
    assert.ok(text.startsWith('\ufeffnum,datetime\r\n1,'))
    const lines = text.split('\r\n')
    assert.equal(lines.length, 123_456 + 2)
    for (const n of [1, 9, 10, 99_999, 100_000, 123_456])
      assert.match(lines[n]!, new RegExp(`^${n},\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d$`))
    assert.equal(lines.at(-1), '')
    assert.deepEqual(run.beat()?.progress, { done: 123_456, total: 123_456, note: 'rows' })
  })

  it('writes a head and nothing else for no rows', async () => {
    const { outcome } = await (await demo('csv-export', { rows: 0 })).end()
    assert.equal(readFileSync(outcome!.content!, 'utf8'), '\ufeffnum,datetime\r\n')
  })

  it('needs less than 150 MB for ten million rows', async () => {
    const { outcome } = await (await demo('csv-export', {})).end()
    assert.ok(outcome!.peakMemoryBytes! < 150e6, `${outcome!.peakMemoryBytes}`)
    let lines = 0
    for await (const piece of createReadStream(outcome!.content!, { highWaterMark: 1_048_576 })) {
      for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) lines++
    }
    assert.equal(lines, 10_000_001)
  })

  it('removes what it wrote when it is stopped', async () => {
    const runtime = mkdtempSync(join(tmpdir(), 'bgtask-demo-'))
    const run = await demo('csv-export', { rows: 1_000_000_000 }, { runtime })
    while (!run.beat()) await sleep(5)
    assert.equal(readdirSync(join(runtime, 'exports')).length, 1)
    run.stop('cancelled')
    const { outcome } = await run.end()
    assert.equal(outcome?.kind, 'cancelled')
    assert.deepEqual(readdirSync(join(runtime, 'exports')), [])
  })
})

describe('the other examples', () => {
  it('greet', async () => {
    assert.equal((await (await demo('greet', {})).end()).outcome?.content, 'Hello, world.')
    assert.equal((await (await demo('greet', { name: 'Ada' })).end()).outcome?.content, 'Hello, Ada.')
  })

  it('fail as often as they are told', async () => {
    assert.equal((await (await demo('fail', {}, { ticket: { attempt: 1 } })).end()).outcome?.kind, 'failed')
    assert.equal((await (await demo('fail', {}, { ticket: { attempt: 2 } })).end()).outcome?.kind, 'succeeded')
  })

  it('heartbeat goes on until it is stopped', async () => {
    const run = await demo('heartbeat', { intervalMs: 10 }, { ticket: { execType: 'FOREVER' } })
    await run.says('INFO alive run=3 iteration=5')
    run.stop('interrupted')
    assert.equal((await run.end()).outcome?.kind, 'interrupted')
  })

  it('disk-watch measures, and warns below the threshold', async () => {
    const run = await demo('disk-watch', { intervalMs: 100, warnBelowPercent: 0 }, { ticket: { execType: 'FOREVER' } })
    await run.says('INFO measured path=/ diskFreePercent=')
    run.process.kill('SIGTERM')
    await once(run.process, 'exit')
    const warns = await demo('disk-watch', { warnBelowPercent: 100 }, { ticket: { execType: 'FOREVER' } })
    await warns.says('WARN little disk space is left')
    warns.process.kill('SIGTERM')
    await warns.end()
  })
})

const demo = (name: string, params: Json, more: { runtime?: string; ticket?: Partial<Ticket> } = {}) =>
  spawnRun(`demo/${name}`, {
    params,
    ...more,
    ticket: { file: inPackage('app', 'actions', 'demo', `${name}.ts`), exportName: 'default', ...more.ticket },
  })
