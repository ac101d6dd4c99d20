import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { guards } from '../scripts/guards/list.ts'

const root = join(import.meta.dirname, '..')

// `node scripts/remove-guards.ts` takes them out one by one, which takes an hour; that it can is seen here.
test('each guard of the list is where the list says, and so are the tests that catch its loss', () => {
  const missing = guards.flatMap(({ name, file, text, tests }) => [
    ...(readFileSync(join(root, file), 'utf8').split(text).length === 2 ? [] : [`${name}: ${file} does not have once: ${text}`]),
    ...tests.filter(path => !existsSync(join(root, 'test', path))).map(path => `${name}: there is no test/${path}`),
  ])
  assert.deepEqual(missing, [])
})
