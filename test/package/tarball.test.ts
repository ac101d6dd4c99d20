import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { tokenIn } from '../helpers/listening-panel.ts'
import { until } from '../helpers/scene.ts'

/* The real package: packed, installed in an empty project, and used there in every way that the README shows. */

const checkout = join(import.meta.dirname, '..', '..')
const express = 'express@5.2.1'
const place = mkdtempSync(join(tmpdir(), 'bgtask-package-'))
const project = join(place, 'project')
// Of this process all but what is meant for bgtask itself: npm finds its registry in there.
const env: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:BGTASK_|DATABASE_URL|HOST$|NODE_OPTIONS|NODE_TEST)/.test(name)),
  ),
  PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
  PORT: '0',
  BGTASK_ADMIN_PASSWORD: 'a lantern over the harbour',
}
const npmFlags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']

const run = (program: string, args: string[], { cwd = project, expected = 0 }: { cwd?: string; expected?: number } = {}) => {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: 'utf8', timeout: 120_000 })
  assert.equal(status, expected, `${program} ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout + stderr
}
const bgtask = (...args: string[]) => run(join(project, 'node_modules', '.bin', 'bgtask'), args)
const write = (name: string, text: string) => {
  mkdirSync(dirname(join(project, name)), { recursive: true })
  writeFileSync(join(project, name), text)
}
const stateOf = (id: number) => JSON.parse(bgtask('show', String(id), '--json')) as { state: string; content: string }

const tarball = () => join(place, readdirSync(place).find(name => name.endsWith('.tgz'))!)

before(() => {
  // Packed from a copy, because a package.json that names dist/ must not be met by another test.
  const copy = join(place, 'checkout')
  const left = ['.git', 'node_modules', 'runtime', 'dist', 'docs', 'test']
  cpSync(checkout, copy, {
    recursive: true,
    filter: source => !left.includes(relative(checkout, source).split('/')[0]!) && !source.includes('/node_modules'),
  })
  symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'))
  const manifest = readFileSync(join(copy, 'package.json'), 'utf8')
  run('npm', ['pack', '--loglevel=error', '--pack-destination', place], { cwd: copy })
  assert.equal(readFileSync(join(copy, 'package.json'), 'utf8'), manifest)
  mkdirSync(project)
  write('package.json', '{ "name": "an-application", "version": "1.0.0", "type": "module" }\n')
  write('.gitignore', 'node_modules')
  run('npm', ['install', ...npmFlags, tarball(), express])
})

const children: ChildProcess[] = []
after(async () => {
  for (const child of children) child.kill('SIGKILL')
  if (existsSync(join(project, 'runtime'))) bgtask('stop')
  rmSync(place, { recursive: true, force: true, maxRetries: 5 })
})

/** A program of the application that goes on; resolves with the address that it prints. */
const start = async (
  file: string,
  { args = [], more = {} }: { args?: string[]; more?: Record<string, string> } = {},
): Promise<{ address: string; end(): Promise<void> }> => {
  const child = spawn(process.execPath, [file, ...args], { cwd: project, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let printed = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      printed += chunk
    })
  const address = await until(`${file} listens`, () => {
    assert.equal(child.exitCode, null, printed)
    return /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0]
  })
  return {
    address,
    end: async () => {
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      assert.deepEqual(await gone, [0, null], printed)
    },
  }
}

test('the package holds what runs, and no more', () => {
  const names = run('tar', ['tzf', tarball()]).trim().split('\n')
  assert.deepEqual(
    names.filter(name => !/^package\/(?:(?:dist|views|public)\/|(?:index\.js|package\.json|README\.md)$)/.test(name)),
    [],
  )
  assert.deepEqual(
    names.filter(name => /\.test\.|(?<!\.d)\.ts$|\/demo\//.test(name)),
    [],
  )
  assert.ok(statSync(tarball()).size < 850_000, `${statSync(tarball()).size} bytes`)
  const manifest = JSON.parse(readFileSync(join(project, 'node_modules/bgtask/package.json'), 'utf8'))
  assert.equal(manifest.private, undefined)
  assert.equal(manifest.devDependencies, undefined)
  for (const target of Object.values(manifest.exports).flatMap(found =>
    typeof found === 'string' ? [found] : Object.values(found as object),
  ))
    assert.ok(existsSync(join(project, 'node_modules/bgtask', target as string)), String(target))
})

test('init makes a first action and takes nothing from anybody', () => {
  assert.match(bgtask('init'), /app\/actions\/demo\/hello\.ts: your first action/)
  assert.equal(readFileSync(join(project, '.gitignore'), 'utf8'), 'node_modules\nruntime/\n')
  write('app/actions/demo/hello.ts', `${readFileSync(join(project, 'app/actions/demo/hello.ts'), 'utf8')}// mine\n`)
  write('bgtask.config.ts', 'export default { BGTASK_MAX_RUNNING: 3 }\n')
  const again = bgtask('init')
  assert.match(again, /hello\.ts is there already/)
  assert.match(again, /bgtask\.config is there already/)
  assert.match(readFileSync(join(project, 'app/actions/demo/hello.ts'), 'utf8'), /\/\/ mine/)
  assert.equal(readFileSync(join(project, '.gitignore'), 'utf8'), 'node_modules\nruntime/\n')
  assert.match(bgtask('check', '--json'), /"BGTASK_MAX_RUNNING":\s*"3"/)
  const empty = join(place, 'empty')
  mkdirSync(empty)
  assert.match(run(join(project, 'node_modules/.bin/bgtask'), ['init'], { cwd: empty, expected: 78 }), /There is no package\.json/)
  assert.deepEqual(readdirSync(empty), [])
  writeFileSync(join(empty, 'package.json'), '{ "type": "commonjs" }')
  run(join(project, 'node_modules/.bin/bgtask'), ['init'], { cwd: empty })
  assert.match(readFileSync(join(empty, 'app/actions/demo/hello.js'), 'utf8'), /^exports\.execute/m)
  assert.match(run(join(project, 'node_modules/.bin/bgtask'), ['check'], { cwd: empty, expected: 0 }), /ok +actions/)
})

test('a plain script adds a task and ends by itself, as a module and as CommonJS', () => {
  write('plain.mjs', "import { addTask } from 'bgtask'\nconsole.log((await addTask('demo/hello', { name: 'module' })).id)\n")
  write(
    'plain.cjs',
    "const { addTask } = require('bgtask')\naddTask('demo/hello', { name: 'CommonJS' }).then(task => console.log(task.id))\n",
  )
  assert.equal(run(process.execPath, ['plain.mjs']).trim(), '1')
  assert.equal(run(process.execPath, ['plain.cjs']).trim(), '2')
})

test('its types are those of the library', () => {
  write(
    'types.ts',
    `import bgtask, { addTask, defineAction, mountPanel, type Context, type Task } from 'bgtask'
import fastify from 'fastify'
export const task: Task = await addTask('demo/hello', {}, { delayMs: 5, onConflict: 'keep', unique: 'x' })
// @ts-expect-error there is no such option
await addTask('demo/hello', {}, { later: 5 })
export const execute = async (ctx: Context) => ctx.progress(1, 2)
export default defineAction({ execute: ctx => String(ctx.task.id) })
await fastify().register(bgtask, { prefix: '/admin', autostart: false })
// @ts-expect-error a prefix is text
await fastify().register(bgtask, { prefix: 7 })
export const handle = (await mountPanel()).handle
`,
  )
  write(
    'tsconfig.json',
    '{ "compilerOptions": { "module": "nodenext", "target": "es2024", "strict": true, "noEmit": true, "types": ["node"] }, "files": ["types.ts"] }',
  )
  run(process.execPath, [join(checkout, 'node_modules/typescript/bin/tsc'), '-p', project])
  // Those of the client ask for no types of Node, which what it is used in may not have.
  const reached = new Set([join(project, 'node_modules', 'bgtask', 'dist', 'remote', 'task-client.d.ts')])
  for (const file of reached) {
    const text = readFileSync(file, 'utf8')
    assert.doesNotMatch(text.replaceAll(/\/\*.*?\*\//gs, ''), /NodeJS\.|\bBuffer\b|'node:/, file)
    for (const [, path] of text.matchAll(/from '(\.[^']+)\.js'/g)) reached.add(join(dirname(file), `${path}.d.ts`))
  }
  assert.ok(reached.size > 5)
})

test('a Fastify application has the panel and its loop, which runs what was added before', { timeout: 120_000 }, async () => {
  write(
    'fastify.js',
    `import fastify from 'fastify'
import bgtask, { addTask } from 'bgtask'
const app = fastify()
await app.register(bgtask, { prefix: '/admin' })
app.post('/hello', async () => addTask('demo/hello', { name: 'Fastify' }))
console.log(await app.listen({ host: '127.0.0.1', port: 0 }))
process.once('SIGTERM', () => app.close())
`,
  )
  const application = await start('fastify.js')
  const login = await fetch(`${application.address}/admin/login`)
  assert.equal(login.status, 200)
  assert.notEqual(tokenIn(await login.text()), '')
  const { id } = (await (await fetch(`${application.address}/hello`, { method: 'POST' })).json()) as { id: number }
  for (const [task, name] of [
    [1, 'module'],
    [2, 'CommonJS'],
    [id, 'Fastify'],
  ] as const) {
    await until(`task ${task} has run`, () => stateOf(task).state === 'succeeded' || null, 60_000)
    assert.equal(stateOf(task).content, `Hello, ${name}.`)
  }
  // The loop goes on without it.
  await application.end()
  bgtask('status')
})

test('an Express application adds tasks and shows the panel', { timeout: 120_000 }, async () => {
  write(
    'express.js',
    `import express from 'express'
const app = express()
const { addTask, mountPanel } = await import('bgtask')
const panel = await mountPanel({ prefix: '/ops/bg' })
app.use(panel.prefix, panel.handle)
app.use(express.urlencoded())
app.post('/hello', async (request, response) => response.json(await addTask('demo/hello', { name: request.body.name })))
const server = app.listen(0, '127.0.0.1', () => console.log('http://127.0.0.1:' + server.address().port))
process.once('SIGTERM', async () => {
  panel.endStreams()
  server.close()
  await panel.close()
})
`,
  )
  const application = await start('express.js')
  const page = await fetch(`${application.address}/ops/bg`)
  assert.equal(page.url, `${application.address}/ops/bg/login?next=%2Fops%2Fbg`)
  const login = await page.text()
  const session = page.headers
    .getSetCookie()
    .map(text => text.split(';')[0])
    .join('; ')
  const body = new URLSearchParams({ name: 'admin', password: env.BGTASK_ADMIN_PASSWORD!, _csrf: tokenIn(login), next: '/ops/bg' })
  const entered = await fetch(`${application.address}/ops/bg/login`, {
    method: 'POST',
    body,
    headers: { cookie: session, origin: application.address },
    redirect: 'manual',
  })
  assert.equal(entered.headers.get('location'), '/ops/bg')
  const { id } = (await (
    await fetch(`${application.address}/hello`, { method: 'POST', body: new URLSearchParams({ name: 'Express' }) })
  ).json()) as { id: number }
  await until('it has run', () => stateOf(id).state === 'succeeded' || null, 60_000)
  assert.equal(stateOf(id).content, 'Hello, Express.')
  await application.end()
})

/** Of other lines than ours, each once: those on the path, and what BGTASK_TEST_NODES names (paths, with colons between). */
const otherNodes = (): { path: string; version: string }[] => {
  const named = (process.env.BGTASK_TEST_NODES ?? '').split(':').filter(Boolean)
  const onPath = ['/usr/bin', '/usr/local/bin', ...(process.env.PATH ?? '').split(':')].map(folder => join(folder, 'node'))
  const found = new Map<string, { path: string; version: string }>()
  for (const path of [...named, ...onPath].filter(one => existsSync(one))) {
    const version = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout.trim()
    const line = /^v(\d+)\./.exec(version)?.[1]
    if (line !== undefined && Number(line) >= 18 && line !== process.versions.node.split('.')[0] && !found.has(line))
      found.set(line, { path, version })
  }
  return [...found.values()]
}

const others = otherNodes()
const noOther = 'NOT TRIED: there is no other Node (18 or later) on this machine; BGTASK_TEST_NODES=/path/to/node names one.'
test('the client runs in an older Node, over HTTP and over a socket', {
  timeout: 120_000,
  skip: others.length === 0 && noOther,
}, async t => {
  write(
    'client.mjs',
    `import { TaskClient, TaskClientError } from 'bgtask/client'
const [url, token, socketPath] = process.argv.slice(2)
for (const options of [{ url, token }, { socketPath }]) {
  const client = new TaskClient(options)
  const { id } = await client.sendTask('demo/hello', { name: process.version }, { type: 'older' })
  const { state, content } = await client.wait(id)
  const stored = []
  for await (const { added } of client.sendTasks([1, 2, 3].map(n => ({ action: 'demo/hello', params: { name: 'later' }, options: { delayMs: 60_000 } })))) stored.push(added)
  const unknown = await client.task(999_999).catch(error => error instanceof TaskClientError && error.code)
  const late = await client.wait(id, { signal: AbortSignal.abort() }).catch(error => error.code)
  console.log(JSON.stringify([state, content, stored, unknown, late]))
}
`,
  )
  const socket = join(place, 'bgtask.sock')
  const panel = await start(join(project, 'node_modules/bgtask/index.js'), { args: ['serve'], more: { BGTASK_SOCKET: socket } })
  const scopes = ['task:add:demo/*', 'task:read'].flatMap(scope => ['--scope', scope])
  const token = /bgt_\S+/.exec(bgtask('token', 'create', 'older', ...scopes))![0]
  for (const { path, version } of others) {
    const printed = run(path, ['client.mjs', panel.address, token, socket])
    const expected = JSON.stringify(['succeeded', `Hello, ${version}.`, [true, true, true], 'not-found', 'aborted'])
    assert.equal(printed, `${expected}\n${expected}\n`, version)
  }
  await panel.end()
  t.diagnostic(`tried with Node ${others.map(({ version }) => version).join(', ')}`)
})

test('the panel in the background is started, reloaded without a gap and stopped, with the code of the project', {
  timeout: 120_000,
}, async () => {
  const writeVersion = (version: string) =>
    write('app/controllers/which.js', `export default async app => { app.get('/which', async () => '${version}') }\n`)
  writeVersion('one')
  const address = /http:\/\/127\.0\.0\.1:\d+/.exec(bgtask('panel', 'start'))![0]
  const which = async () => {
    const answer = await fetch(`${address}/which`)
    assert.equal(answer.status, 200)
    return answer.text()
  }
  assert.equal(await which(), 'one')
  writeVersion('two')
  const reload = promisify(execFile)(join(project, 'node_modules/.bin/bgtask'), ['panel', 'reload'], { cwd: project, env })
  let isOver = false
  reload.then(
    () => (isOver = true),
    () => (isOver = true),
  )
  while (!isOver) assert.match(await which(), /^(?:one|two)$/)
  assert.match((await reload).stdout, /The panel has reloaded/)
  await until('the new code answers', async () => (await which()) === 'two')
  write('bgtask.config.ts', 'export default {\n  BGTASK_MAX_RUNNING: 3 3\n}\n')
  assert.match(
    run(join(project, 'node_modules/.bin/bgtask'), ['panel', 'reload'], { expected: 78 }),
    /bgtask\.config\.ts, line 2, cannot be used/,
  )
  assert.equal(await which(), 'two')
  write('bgtask.config.ts', 'export default { BGTASK_MAX_RUNNING: 3 }\n')
  assert.match(bgtask('panel', 'stop'), /The panel has ended/)
  await assert.rejects(which())
})
