import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { CompiledQuery } from 'kysely'
import { type Background, openBackground } from '../../app/api/background.ts'
import { thisUser } from '../../app/api/this-user.ts'
import { makeToken } from '../../app/api/tokens.ts'
import { loadConfig } from '../../app/config.ts'
import { panelProcesses, readPanel } from '../../app/runs/panel-file.ts'
import { isAlive } from '../../app/runs/process-identity.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { listAudit } from '../../app/store/audit.ts'
import { findTask } from '../../app/store/find-task.ts'
import { listRuns } from '../../app/store/list-runs.ts'
import { findOnceLink } from '../../app/store/once-links.ts'
import { auditSentence } from '../../app/web/audit-sentence.ts'
import { linkHash } from '../../app/web/first-link.ts'
import { cookiesOf, password, type ServedPanel } from '../helpers/browser.ts'
import { freePort } from '../helpers/free-port.ts'
import { killIfThere, until } from '../helpers/scene.ts'
import { sharedCompileCache } from '../helpers/shared-compile-cache.ts'

const scripts = join(import.meta.dirname, '..', '..', 'scripts')
const soon = 60_000

test('three reloads under load: nothing refused or broken, each task there once and run once, and the next one has the new code', {
  timeout: 180_000,
}, async t => {
  const place = await makePlace(t)
  place.writeActions('one')
  assert.equal((await place.script('start')).code, 0)
  const background = await place.openBackground()
  await background.addTask('test/loop', {}, { execType: 'FOREVER' })
  await until('the loop has begun', () => place.witnessed().includes('loop one'), soon)
  const load = await putUnderLoad(t, place, background)
  const first = readPanel(place.runtime)!
  const processes = [first.pid]
  for (const version of ['two', 'three', 'four']) {
    place.writeActions(version)
    const reload = await place.script('reload')
    assert.equal(reload.code, 0, reload.said)
    processes.push(readPanel(place.runtime)!.pid)
    const { id } = await load.post()
    const task = await until(
      `task ${id} has succeeded`,
      async () => {
        const found = await findTask(background.db, id)
        return found?.state === 'succeeded' && found
      },
      soon,
    )
    assert.equal(task.content, version)
    await until('the loop has the new code', () => place.witnessed().includes(`loop ${version}`), soon)
  }
  const { faults, ids, pages } = await load.end()
  assert.deepEqual(faults, [])
  assert.ok(pages.fresh > 10 && pages.kept > 10, JSON.stringify(pages))
  assert.equal(new Set(processes).size, 4)
  assert.equal(new Set(ids).size, ids.length)
  await until(
    'every task has succeeded',
    async () => (await Promise.all(ids.map(id => findTask(background.db, id)))).every(task => task?.state === 'succeeded'),
    soon,
  )
  for (const id of ids) assert.equal((await listRuns(background.db, id, { limit: 10 })).length, 1, `task ${id}`)
  const ran = place.witnessed().filter(line => line.startsWith('task '))
  assert.deepEqual([...ran].sort(), ids.map(id => `task ${id}`).sort())
  const [, second, third] = processes
  const left = () => panelProcesses(place.runtime).every(({ pid }) => pid !== second && pid !== third)
  await until('those to which nobody is connected any more have left', left, soon)
  // The first may still wait for an idle connection: that of the signing in.
  assert.equal((await place.script('stop')).code, 0)
  assert.equal(isAlive(first), false)
})

test('a new panel that cannot start leaves the old one at work, and everybody is told', { timeout: 120_000 }, async t => {
  const place = await makePlace(t)
  const address = join(place.folder, 'database-address')
  writeFileSync(address, `sqlite:${join(place.folder, 'tasks.sqlite')}`)
  // The panel has it from a file, this shell has it right: so the mistake is found by the new process, not by the command.
  assert.equal((await place.script('start', { DATABASE_URL_FILE: address })).code, 0)
  const before = readPanel(place.runtime)!
  writeFileSync(address, 'oracle://nowhere')
  const own = { DATABASE_URL: `sqlite:${join(place.folder, 'tasks.sqlite')}` }
  for (const round of [1, 2]) {
    const { code, said } = await place.script('reload', own)
    assert.equal(code, 1, `round ${round}: ${said}`)
    assert.match(said, /did not reload and goes on as it was/)
    assert.match(said, /DATABASE_URL/, 'what is wrong')
    assert.equal(readPanel(place.runtime)?.pid, before.pid)
    assert.equal((await fetch(`http://127.0.0.1:${place.port}/healthz`)).status, 200)
  }
  assert.match(
    readFileSync(runtimePaths(place.runtime).panelLog, 'utf8'),
    /The panel did not reload: the new panel ended with exit code 78\. It goes on/,
  )
  writeFileSync(address, own.DATABASE_URL)
  const mended = await place.script('reload', own)
  assert.equal(mended.code, 0, mended.said)
  assert.notEqual(readPanel(place.runtime)?.pid, before.pid)
})

test('start and stop twice, restart, a reused pid, and a start that fails', { timeout: 120_000 }, async t => {
  const place = await makePlace(t)
  const wrong = await place.script('start', { BGTASK_MAX_RUNNING: 'many' })
  assert.equal(wrong.code, 78, wrong.said)
  assert.match(wrong.said, /BGTASK_MAX_RUNNING/)
  assert.match((await place.script('reload')).said, /No panel runs in the background/)
  // Without a password for it, so that the first administrator comes by a link.
  const started = await place.script('start', { BGTASK_ADMIN_PASSWORD: '' })
  assert.equal(started.code, 0, started.said)
  assert.match(started.said, /bgtask is at http/)
  assert.equal(statSync(runtimePaths(place.runtime).panelLog).mode & 0o777, 0o600)
  const panel = readPanel(place.runtime)!
  const again = await place.script('start')
  assert.equal(again.code, 75)
  assert.match(again.said, /The panel runs already .*The supervisor runs already/s)
  const background = await place.openBackground()
  const told = firstLink(started.said)
  assert.equal(firstLink(again.said), told, 'as long as it is good, the same one')
  // Nobody came within its 15 minutes.
  rmSync(runtimePaths(place.runtime).firstRun)
  const fresh = firstLink((await place.script('start')).said)
  assert.equal(fresh.split('#')[0], told.split('#')[0])
  const token = fresh.split('#')[1]!
  assert.equal((await findOnceLink(background.db, linkHash(token)))?.usedAt, null)
  assert.notEqual(fresh, told)
  const sql = (text: string) => background.db.kysely.executeQuery(CompiledQuery.raw(text))
  await sql('ALTER TABLE bg_audit RENAME TO bg_audit_away')
  for (const name of ['reload', 'stop']) {
    const refused = await place.script(name)
    assert.equal(refused.code, 1, name)
    assert.match(refused.said, /^The audit cannot be written, so this is not done\./)
    if (name === 'stop') assert.match(refused.said, new RegExp(`kill ${panel.pid} ends the panel in order`))
  }
  await sql('ALTER TABLE bg_audit_away RENAME TO bg_audit')
  assert.equal(readPanel(place.runtime)?.pid, panel.pid)
  assert.equal((await place.script('reload')).code, 0)
  assert.equal((await place.script('restart')).code, 0)
  assert.equal(isAlive(panel), false)
  assert.equal((await place.script('stop')).code, 0)
  const rows = (await listAudit(background.db, { limit: 100 })).filter(({ act }) => act.startsWith('panel-')).reverse()
  assert.deepEqual(
    rows.map(({ act, subject, detail, userName, via, ip }) => [act, subject, detail, userName, via, ip]),
    ['started', 'reloaded', 'stopped', 'started', 'stopped'].map(what => [
      `panel-${what}`,
      'panel',
      hostname(),
      `${thisUser().name} (command line)`,
      'command-line',
      null,
    ]),
  )
  for (const language of ['en', 'zh'] as const)
    for (const row of rows) assert.match(auditSentence(language, row), language === 'en' ? / the panel / : /面板/)
  assert.equal(panelProcesses(place.runtime).length, 0)
  assert.equal(readSupervisor(place.runtime), null)
  // The pid of somebody else, with a start time that is not theirs.
  writeFileSync(runtimePaths(place.runtime).panel, JSON.stringify({ ...panel, pid: process.pid }))
  const nothing = await place.script('stop')
  assert.equal(nothing.code, 0, 'and this process still lives')
  assert.match(nothing.said, /No panel runs .*The supervisor does not run/s)
})

interface Place {
  folder: string
  runtime: string
  port: number
  witnessed(): string[]
  writeActions(version: string): void
  openBackground(): Promise<Background>
  /** Runs scripts/<name>.sh from another folder. */
  script(name: string, env?: Record<string, string>): Promise<{ code: number | null; said: string }>
}

const makePlace = async (t: TestContext): Promise<Place> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask hot reload '))
  const runtime = join(folder, 'the runtime')
  const actions = join(folder, 'actions')
  const witness = join(folder, 'witness')
  mkdirSync(join(actions, 'test'), { recursive: true })
  writeFileSync(witness, '')
  const port = await freePort()
  const env = {
    PATH: process.env.PATH!,
    HOME: process.env.HOME ?? '/',
    ...sharedCompileCache(),
    BGTASK_RUNTIME: runtime,
    BGTASK_ACTIONS: actions,
    PORT: String(port),
    BGTASK_ADMIN_PASSWORD: password,
  }
  const script: Place['script'] = async (name, more = {}) => {
    const child = spawn(join(scripts, `${name}.sh`), { cwd: folder, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', piece => (said += String(piece)))
    return new Promise((resolve, reject) => child.once('error', reject).once('close', code => resolve({ code, said })))
  }
  t.after(async () => {
    await script('stop')
    for (const { pid } of panelProcesses(runtime)) killIfThere(pid)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const write = (name: string, text: string) => {
    writeFileSync(join(actions, 'test', `${name}.new`), text)
    renameSync(join(actions, 'test', `${name}.new`), join(actions, 'test', `${name}.ts`))
  }
  return {
    folder,
    runtime,
    port,
    script,
    witnessed: () => readFileSync(witness, 'utf8').trim().split('\n'),
    writeActions: version => {
      const say = (what: string) => `process.getBuiltinModule('node:fs').appendFileSync(${JSON.stringify(witness)}, ${what})`
      write(
        'once',
        `export const execute = async ({ task }: { task: { id: number } }) => { ${say("'task ' + task.id + '\\n'")}; return '${version}' }\n`,
      )
      write(
        'loop',
        `export const execute = async ({ signal }: { signal: AbortSignal }) => {
  ${say(`'loop ${version}\\n'`)}
  const alive = setInterval(() => {}, 1000)
  await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
  clearInterval(alive)
}
`,
      )
    },
    openBackground: async () => {
      const background = await openBackground(await loadConfig(env))
      t.after(() => background.close())
      return background
    },
  }
}

/** Clients that never rest, with a connection for each request and with one for many, until they are told to end. */
const putUnderLoad = async (t: TestContext, place: Place, background: Background) => {
  const token = async (name: string) =>
    (await makeToken(background.db, { name: 'admin', ip: null, via: 'form' }, { name, scopes: ['task:add:test/*'] })).text
  const cookie = await cookiesOf({ address: `http://127.0.0.1:${place.port}` } as ServedPanel)
  const agents = { fresh: new Agent({ keepAlive: false }), kept: new Agent({ keepAlive: true }) }
  const faults: string[] = []
  const ids: number[] = []
  const pages = { fresh: 0, kept: 0 }
  let isOver = false
  const post = async (kind: keyof typeof agents, bearer: string) => {
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
    const { status, text } = await ask(place.port, agents[kind], 'POST', '/api/v1/tasks', headers, JSON.stringify({ action: 'test/once' }))
    if (status !== 201) throw new Error(`POST was answered by ${status}: ${text}`)
    const { id } = (JSON.parse(text) as { task: { id: number } }).task
    ids.push(id)
    return { id }
  }
  const get = async (kind: keyof typeof agents) => {
    const { status, text } = await ask(place.port, agents[kind], 'GET', '/admin/account', { cookie })
    if (status !== 200 || !text.trimEnd().endsWith('</html>')) throw new Error(`GET was answered by ${status}: ${text.slice(-200)}`)
    pages[kind]++
  }
  // So often, and not as often as can be: a token may ask 600 times a minute, and each task is a process.
  const client = async (everyMs: number, work: () => Promise<unknown>) => {
    while (!isOver) {
      await work().catch((error: Error) => faults.push(error.message))
      await delay(everyMs)
    }
  }
  const kinds = ['fresh', 'kept'] as const
  const bearers = { fresh: await token('fresh'), kept: await token('kept') }
  const clients = kinds.flatMap(kind => [
    client(50, () => get(kind)),
    client(70, () => get(kind)),
    client(800, () => post(kind, bearers[kind])),
  ])
  const end = async () => {
    isOver = true
    await Promise.all(clients)
    for (const agent of Object.values(agents)) agent.destroy()
  }
  t.after(end)
  return {
    post: () => post('kept', bearers.kept),
    end: async () => {
      await end()
      return { faults, ids, pages }
    },
  }
}

const ask = async (port: number, agent: Agent, method: string, path: string, headers: Record<string, string>, body?: string) => {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method,
        path,
        headers: { ...headers, ...(body ? { 'content-length': Buffer.byteLength(body) } : {}) },
      },
      resolve,
    )
      .once('error', reject)
      .end(body)
  })
  let text = ''
  for await (const piece of answer.setEncoding('utf8')) text += piece
  if (!answer.complete) throw new Error('the answer was cut off')
  return { status: answer.statusCode!, text }
}

const firstLink = (said: string): string => /First administrator.*: (http\S+)/.exec(said)![1]!
