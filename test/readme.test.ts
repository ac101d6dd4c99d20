import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

test('each row of what people come from names a test or an example, and all that are named are there', () => {
  const sections = readme.split(/^## /m).filter(section => section.startsWith('Coming from'))
  assert.ok(sections.length >= 5)
  for (const section of sections) {
    const [title] = section.split('\n')
    const rows = section.split('\n').filter(line => line.startsWith('|') && !/^\| (?:there|then|---) \|/.test(line))
    assert.ok(rows.length >= 7, title)
    for (const row of rows) {
      const shownBy = row.split(' | ').at(-1)!
      const files = [...shownBy.matchAll(/`([^`]+)`/g)].map(([, file]) => file!)
      assert.ok(files.length > 0, `${title} names nothing in ${row}`)
      for (const file of files) assert.ok(existsSync(join(root, file)), `${title}: ${file} is not there`)
    }
  }
  for (const [, file] of readme.matchAll(/`((?:test|scripts|app\/(?:actions|controllers|modules)\/demo)\/[\w./-]+\.(?:ts|js|sh|png))`/g))
    assert.ok(existsSync(join(root, file!)), file)
})
