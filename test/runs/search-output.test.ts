import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { writeGoneBytes } from '../../app/runs/printed-bytes.ts'
import { runPaths } from '../../app/runs/runtime-folder.ts'
import { searchOutput } from '../../app/runs/search-output.ts'
import { readStoredLines, storedExtent } from '../../app/runs/stored-output.ts'
import { createRedactor } from '../../app/secrets/redactor.ts'

const folder = mkdtempSync(join(tmpdir(), 'bgtask-search-'))
const { output, rotatedOutput } = runPaths(folder)
after(() => rmSync(folder, { recursive: true, force: true }))

const secret = 'hunter2 on\ntwo lines'
const redactor = createRedactor([secret, 'topsecret'])
const known = () => redactor

/** What is kept: `older` in the one file and `newer` in the other, after so many bytes that are gone for good. */
const keep = (older: string, newer: string, lost = 0) => {
  rmSync(rotatedOutput, { force: true })
  if (older !== '') writeFileSync(rotatedOutput, older)
  writeFileSync(output, newer)
  writeGoneBytes(folder, lost + Buffer.byteLength(older))
}

test('lines are the same wherever a piece is cut and the output was rotated, and no part of a secret is among them', async () => {
  const text = `first 字\r\n\nlogin ${secret} here\ntopsecret\nand topsecrettopsecret\nlast without end`
  const bytes = Buffer.from(text)
  keep('', text)
  const whole = (await readStoredLines(folder, redactor, { ...storedExtent(folder), ended: true })).lines
  assert.deepEqual(
    whole.map(line => line.text),
    ['first 字', '', 'login [redacted] here', '[redacted]', 'and [redacted][redacted]', 'last without end'],
  )
  for (const { at, text: shown } of whole) if (!shown.includes('[')) assert.ok(bytes.subarray(at).toString().startsWith(shown), `at ${at}`)
  for (let rotatedAt = 0; rotatedAt <= bytes.length; rotatedAt += 3) {
    keep(bytes.subarray(0, rotatedAt).toString('latin1'), '', 0)
    writeFileSync(rotatedOutput, bytes.subarray(0, rotatedAt))
    writeFileSync(output, bytes.subarray(rotatedAt))
    writeGoneBytes(folder, rotatedAt)
    assert.deepEqual(storedExtent(folder), { from: 0, to: bytes.length })
    for (let cut = 0; cut <= bytes.length; cut++) {
      const piece = await readStoredLines(folder, redactor, { from: cut, to: bytes.length, ended: true })
      for (const line of piece.lines) assert.doesNotMatch(line.text, /unter2|two line|opsecre|two lines/, `cut at ${cut}`)
      // What is left of the line in which it was cut is left out, or all that there is.
      const rest = whole.filter(({ at }) => at >= piece.from)
      if (whole.some(({ at }) => at === piece.from)) assert.deepEqual(piece.lines, rest, `rotated at ${rotatedAt}, cut at ${cut}`)
      else assert.equal(piece.lines.length, rest.length + (cut < bytes.length ? 1 : 0), `cut at ${cut}`)
    }
  }
})

test('the newest match comes first, from both files, with a place that stays when the output is rotated', async () => {
  keep('a match 1\nno\na match 2\n', 'a match 3\nno\na match 4', 1_000)
  const options = { matches: (text: string) => text.includes('match'), ended: true }
  const { lines, isAll, from } = await searchOutput(folder, known, options)
  assert.deepEqual(
    lines.map(({ text, at }) => [text, at]),
    [
      ['a match 4', 1_036],
      ['a match 3', 1_023],
      ['a match 2', 1_013],
      ['a match 1', 1_000],
    ],
  )
  assert.deepEqual([isAll, from], [true, 1_000])
  const first = await searchOutput(folder, known, { ...options, most: 1 })
  assert.deepEqual([first.lines.length, first.isAll, first.from], [1, false, 1_036])
  const next = await searchOutput(folder, known, { ...options, most: 2, before: first.from })
  assert.deepEqual(
    next.lines.map(({ text }) => text),
    ['a match 3', 'a match 2'],
  )
  // Rotated once more: what was in the older file is gone, and the others stand where they stood.
  renameSync(output, rotatedOutput)
  writeFileSync(output, '\na match 5\n')
  writeGoneBytes(folder, 1_045)
  const later = await searchOutput(folder, known, options)
  assert.deepEqual(
    later.lines.map(({ at }) => at),
    [1_046, 1_036, 1_023],
  )
})

test('a search finds no secret, nor a part of one, also across lines, and holds back what may be the beginning of one', async () => {
  keep('x\ntopse', `cret y\nlogin ${secret}\nhalf topsec`)
  const seen: string[] = []
  const see = (text: string) => seen.push(text) < 0
  await searchOutput(folder, known, { matches: see, ended: false })
  assert.deepEqual(seen.toReversed(), ['x', '[redacted] y', 'login [redacted]', 'half '])
  for (const part of ['topsecret', 'opsecre', 'hunter2', 'two lines', 'secret'])
    assert.deepEqual((await searchOutput(folder, known, { matches: text => text.includes(part), ended: false })).lines, [], part)
})

test('it works in short pieces, stops when it has worked enough or nobody waits, and can be gone on with', async () => {
  keep('', '')
  const line = `${'x'.repeat(99)}\n`
  for (let megabytes = 0; megabytes < 8; megabytes++) appendFileSync(output, line.repeat(10_000))
  appendFileSync(output, 'y'.repeat(1_000_000))
  let turns = 0
  const turn = setInterval(() => turns++, 0)
  const all = await searchOutput(folder, known, { matches: () => false, ended: true, budgetMs: Number.POSITIVE_INFINITY })
  clearInterval(turn)
  assert.ok(all.isAll)
  assert.ok(turns > 10, `others had their turn ${turns} times`)
  // A budget of nothing does one piece, and each goes on from where the one before has stopped, until all lines were seen once.
  let lines = 0
  let before = Number.MAX_SAFE_INTEGER
  for (let pieces = 0; before > 0; pieces++) {
    assert.ok(pieces < 50)
    const piece = await searchOutput(folder, known, {
      matches: text => text[0] === 'x' && lines++ < 0,
      ended: true,
      budgetMs: 0.000_001,
      before,
    })
    assert.ok(piece.from < before)
    before = piece.from
  }
  assert.equal(lines, 80_000)
  const left = new AbortController()
  left.abort()
  assert.deepEqual(await searchOutput(folder, known, { matches: () => true, ended: true, signal: left.signal }), {
    lines: [],
    from: 9_000_000,
    isAll: false,
  })
})
