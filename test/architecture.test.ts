import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { test } from 'node:test'

const app = join(import.meta.dirname, '..', 'app')

/** Who may import whom inside app/. The floor is open to all; whatever is not named here is refused. */
const floor = ['config', 'paths', 'errors', 'log', 'texts', 'task', 'secrets']
const mayImport: Record<string, readonly string[]> = {
  task: [],
  texts: ['task'],
  secrets: ['task', 'errors'],
  errors: ['task'],
  paths: [],
  config: ['errors', 'paths', 'task'],
  log: ['config', 'errors', 'secrets', 'texts'],
  runs: floor,
  store: [...floor, 'runs'],
  catalog: [...floor, 'runs'],
  commands: [...floor, 'runs'],
  api: [...floor, 'runs', 'store', 'catalog', 'commands'],
  supervisor: [...floor, 'runs', 'store', 'catalog'],
  runner: ['task', 'runs', 'errors', 'paths', 'config'],
  cron: [...floor, 'runs', 'store', 'catalog', 'commands', 'api'],
  notify: [...floor, 'runs', 'store'],
  web: [...floor, 'runs', 'store', 'catalog', 'commands', 'api', 'cron'],
  cli: [...floor, 'runs', 'store', 'catalog', 'commands', 'api', 'cron', 'runner', 'supervisor', 'web'],
  remote: ['task'],
  index: ['remote', ...floor, 'runs', 'commands', 'runner', 'api', 'cron'],
  actions: ['index'],
  modules: ['index'],
  core: [...floor, 'index'],
  controllers: ['index', 'web', 'api', 'texts'],
}
/** Only when asked for, by `await import()`: so that a run which needs none of it does not pay for it. */
const mayImportLate: Record<string, readonly string[]> = {
  remote: ['api'],
  runner: ['api', 'store'],
  index: ['api', 'web'],
  core: ['runs', 'store', 'catalog', 'commands', 'api', 'cron', 'runner', 'notify'],
}

/** Packages that one room alone may import. */
const owners: Record<string, readonly string[]> = {
  kysely: ['store'],
  mysql2: ['store'],
  'node:sqlite': ['store'],
  fastify: ['web', 'controllers'],
  eta: ['web'],
  commander: ['cli'],
  otpauth: ['api'],
  qr: ['web'],
  nodemailer: ['notify'],
  'prom-client': ['web'],
}

test('imports go down only, and each package has its room', () => {
  const wrong = files().flatMap(file => {
    const room = roomOf(file)
    return importsOf(file).flatMap(({ specifier, late, typeOnly }) => {
      if (!specifier.startsWith('.')) {
        const owner = Object.entries(owners).find(
          ([name]) => specifier === name || specifier.startsWith(`${name}/`) || specifier.startsWith(`@${name}/`),
        )
        return owner && !typeOnly && !owner[1].includes(room) ? [`${name(file)} imports ${specifier}, which belongs to ${owner[1]}`] : []
      }
      const target = roomOf(join(dirname(file), specifier))
      const allowed = [room, ...(mayImport[room] ?? []), ...(late || typeOnly ? (mayImportLate[room] ?? []) : [])]
      return allowed.includes(target) ? [] : [`${name(file)} imports ${specifier}: ${room} may not import ${target}`]
    })
  })
  assert.deepEqual(wrong, [])
})

test('nothing is called utils, helpers, manager or types', () => {
  assert.deepEqual(
    files()
      .map(name)
      .filter(path => /(^|\/)(utils?|helpers?|common|manager|service|types)(\.ts|\/)/.test(path)),
    [],
  )
})

const files = () =>
  readdirSync(app, { recursive: true, withFileTypes: true }).flatMap(entry =>
    entry.isFile() && entry.name.endsWith('.ts') ? [join(entry.parentPath, entry.name)] : [],
  )
const name = (file: string) => relative(app, file)
const roomOf = (file: string) => name(file).split(sep)[0]!.replace(/\.ts$/, '')

const importsOf = (file: string) => {
  const text = readFileSync(file, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
  const fixed = [...text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'"]*?from\s+)?'([^']+)'/gm)].map(match => ({
    specifier: match[2]!,
    late: false,
    typeOnly: match[1] !== undefined,
  }))
  const late = [...text.matchAll(/import\('([^']+)'\)/g)].map(match => ({ specifier: match[1]!, late: true, typeOnly: false }))
  return [...fixed, ...late]
}
