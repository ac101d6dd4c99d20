import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readShownOutput } from '../../app/runs/read-shown-output.ts'
import { redactionOf } from '../../app/runs/redaction.ts'
import { runPaths, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { addSecret, readSecrets, secretLimits } from '../../app/runs/secrets-file.ts'
import { writeTicket } from '../../app/runs/ticket.ts'
import { createRedactor } from '../../app/secrets/redactor.ts'
import { openTail } from '../../app/web/output-tail.ts'
import { ticketOf } from '../runner/spawn-run.ts'

const runtime = mkdtempSync(join(tmpdir(), 'bgtask-shown-'))
const { folder, output, rotatedOutput, secrets, outcome } = runtimePaths(runtime).run('7-3')
writeTicket(folder, ticketOf('test/ok', { params: { password: 'hunter2-of-params' } }))
after(() => rmSync(runtime, { recursive: true, force: true }))

const value = 'hunter2-of-params'
const redactor = () => redactionOf({ runtime }).ofRun(folder)

test('a value that straddles two reads is hidden, wherever they meet', () => {
  const text = `first line\nlogin ${value} 字 and ${value}${value}\nlast`
  writeFileSync(output, text)
  const bytes = Buffer.byteLength(text)
  for (let cut = 0; cut <= bytes; cut++) {
    const one = readShownOutput(folder, redactor, { from: 0, to: cut, ended: false })
    const two = readShownOutput(folder, redactor, { from: one.to, ended: true, continued: true })
    assert.equal(one.text + two.text, text.replaceAll(value, '[redacted]'), `cut at ${cut}`)
    for (const piece of [one, two]) assert.doesNotMatch(piece.text, /hunter2|of-params/)
    const later = readShownOutput(folder, redactor, { from: cut, ended: true })
    assert.doesNotMatch(later.text, /unter2-of-params|of-params\b/, `from ${cut}`)
    const newest = readShownOutput(folder, redactor, { maxBytes: cut, ended: true })
    assert.doesNotMatch(newest.text, /unter2-of-params|of-params\b/, `the newest ${cut} bytes`)
  }
})

test('a value that straddles the rotation is hidden on both sides', () => {
  for (let cut = 0; cut <= value.length; cut++) {
    writeFileSync(rotatedOutput, `older ${value.slice(0, cut)}`)
    writeFileSync(output, `${value.slice(cut)} newer`)
    const { text } = readShownOutput(folder, redactor, { from: 0, ended: true })
    assert.equal(text, `${cut === value.length ? '' : '[redacted]'} newer`, `cut at ${cut}`)
  }
  rmSync(rotatedOutput)
})

test('the live tail shows each value as hidden, whenever its bytes come', () => {
  for (let cut = 1; cut < value.length; cut++) {
    rmSync(outcome, { force: true })
    writeFileSync(output, 'begin ')
    let shown = ''
    const tail = openTail(
      { runtime },
      7,
      3,
      html => (shown += html),
      error => assert.fail(String(error)),
    )
    try {
      appendFileSync(output, `<${value.slice(0, cut)}`)
      tail.pump()
      assert.equal(shown, '&lt;')
      assert.equal(tail.all(), 'begin &lt;')
      assert.equal(tail.position, 7)
      appendFileSync(output, `${value.slice(cut)}> and hun`)
      tail.pump()
      assert.equal(shown, '&lt;[redacted]&gt; and ')
      // It has ended, so it was no beginning.
      writeFileSync(outcome, '{}')
      tail.pump()
      assert.equal(shown, '&lt;[redacted]&gt; and hun')
      assert.equal(tail.all(), 'begin &lt;[redacted]&gt; and hun')
    } finally {
      tail.close()
    }
  }
})

test('what the run registers is hidden from then on', () => {
  addSecret(secrets, 'registered "one"\n')
  writeFileSync(output, 'x registered "one"\ny')
  assert.equal(readShownOutput(folder, redactor, { from: 0, ended: true }).text, 'x [redacted]y')
  assert.deepEqual(readSecrets(secrets), ['registered "one"\n'])
  appendFileSync(secrets, '"half of a li')
  addSecret(secrets, 'after a full disk')
  assert.deepEqual(readSecrets(secrets), ['registered "one"\n', 'after a full disk'])
  writeFileSync(secrets, '{"not": "ours"}\n7\n[1]\n"good value"\n')
  assert.deepEqual(readSecrets(secrets), ['good value'])
  for (let index = 0; index < secretLimits.values + 10; index++) appendFileSync(secrets, `"value ${index}"\n`)
  assert.equal(readSecrets(secrets).length, secretLimits.values)
  assert.deepEqual(readSecrets(join(folder, 'not-there')), [])
})

test('a value longer than what is read at once is hidden too', () => {
  const long = 'abcdefghij'.repeat(2_000)
  writeFileSync(output, `before ${long} after`)
  const known = createRedactor([long])
  const { text } = readShownOutput(folder, () => known, { from: 1_000, maxBytes: 500, ended: false })
  assert.equal(text, '[redacted]')
  assert.equal(readShownOutput(folder, () => known, { from: 0, ended: false }).text, 'before [redacted] after')
  assert.equal(runPaths(folder).output, output)
})
