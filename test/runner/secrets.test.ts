import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSecrets, leastLength } from '../../app/runner/secrets.ts'
import { runPaths } from '../../app/runs/runtime-folder.ts'
import { readSecrets, secretLimits } from '../../app/runs/secrets-file.ts'
import { leastLength as leastHidden } from '../../app/secrets/redactor.ts'
import { spawnRun } from './spawn-run.ts'

test('what an action registers lies in its run folder, for its owner alone', async () => {
  const run = await spawnRun('test/registers-secret', { params: {}, ticket: { exportName: 'default' } })
  const { output, outcome } = await run.end()
  const { secrets } = runPaths(run.folder)
  assert.deepEqual(readSecrets(secrets), ['registered-by-the-run'])
  assert.equal(statSync(secrets).mode & 0o777, 0o600)
  assert.match(output, /WARN ctx\.secret: a value of 5 characters is too short to be hidden/)
  assert.doesNotMatch(output, /12345/)
  assert.match(outcome!.content!, /no luck with registered-by-the-run/)
})

test('values are told once each, bounded, and only as text', t => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-secrets-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'secrets.jsonl')
  const warned: string[] = []
  const secrets = createSecrets(path, text => warned.push(text))
  assert.equal(secrets.add('a secret'), 'a secret')
  secrets.add('a secret')
  assert.equal(readFileSync(path, 'utf8').trim(), '"a secret"')
  secrets.add('short')
  assert.deepEqual(warned.length, 1)
  for (const strange of [undefined, null, 7, {}])
    assert.throws(() => secrets.add(strange as string), /^TypeError: ctx\.secret takes a text/)
  assert.throws(() => secrets.add('x'.repeat(secretLimits.characters)), /no more can be hidden/)
  for (let index = 1; index < secretLimits.values; index++) secrets.add(`value ${index}`)
  assert.throws(() => secrets.add('one too many'), /no more can be hidden/)
  assert.equal(readSecrets(path).length, secretLimits.values)
  assert.equal(leastLength, leastHidden)
})

test('without anybody who shows the output nothing is written', () => {
  const secrets = createSecrets(null, assert.fail)
  assert.equal(secrets.add('a secret'), 'a secret')
  assert.ok(!existsSync('secrets.jsonl'))
})
