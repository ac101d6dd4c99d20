import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..', '..')
const views = readdirSync(join(root, 'views')).map(name => ({ name, text: readFileSync(join(root, 'views', name), 'utf8') }))

/** What may be written into a page as it is: parts of ours, and functions of app/web/render.ts that escape what they are given. */
const raw = [
  /^include\('\.\/[\w-]+', /,
  /^it\.body$/,
  /^it\.(icon|time|sentence)\(/,
  /^it\.outputHtml$/,
  /^line\.html$/,
  /^it\.(outputMark|endMark)$/,
]

test('everything in a page is escaped, except what a list says', () => {
  for (const { name, text } of views) {
    for (const [, code] of text.matchAll(/<%~\s*([\s\S]*?)\s*%>/g))
      assert.ok(
        raw.some(allowed => allowed.test(code!)),
        `${name}: <%~ ${code} %>`,
      )
  }
})

test('no page takes it for granted that the panel is at /admin', () => {
  const named = ['app/web/addresses.ts', 'app/web/roles.ts']
  const sources = ['app/web', 'app/controllers', 'public'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => /\.(ts|js)$/.test(name))
      .map(name => ({ name: `${folder}/${name}`, text: withoutComments(readFileSync(join(root, folder, name), 'utf8')) })),
  )
  assert.deepEqual(
    [...sources, ...views].filter(({ name, text }) => !named.includes(name) && text.includes('/admin')).map(({ name }) => name),
    [],
    'in a view write <%= it.root %>/…, begin a link or a redirect in code with panel.root, and register a route without /admin: the server gives it',
  )
})

const withoutComments = (source: string) => source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')

test('no view has inline style or script, which the policy would refuse', () => {
  for (const { name, text } of views) {
    assert.doesNotMatch(text, /\sstyle=|<style|\son[a-z]+=["']|javascript:/i, name)
    for (const [tag] of text.matchAll(/<script\b[^>]*>/g)) assert.match(tag, /type="module" src="<%= it\.asset\('/, name)
  }
})

test('every form that changes something carries the token', () => {
  for (const { name, text } of views) {
    for (const [form] of text.matchAll(/<form\b[^>]*method="post"[\s\S]*?<\/form>/g))
      assert.match(form, /name="_csrf" value="<%= it\.csrf %>"/, name)
  }
})

test('every icon is in the sprite, and every icon of the sprite is used', () => {
  const sprite = readFileSync(join(root, 'public/icons.svg'), 'utf8')
  const there = new Set([...sprite.matchAll(/<symbol id="([\w-]+)"/g)].map(found => found[1]!))
  const sources = [...views.map(({ text }) => text), readFileSync(join(root, 'app/web/render.ts'), 'utf8')].join('\n')
  const named = [...sources.matchAll(/icon\('([\w-]+)'/g)].map(found => found[1]!)
  assert.ok(named.length > 60)
  assert.deepEqual(
    [...new Set(named)].filter(name => !there.has(name)),
    [],
  )
  assert.deepEqual(
    [...there].filter(name => !sources.includes(`'${name}'`)),
    [],
  )
})
