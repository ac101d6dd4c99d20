import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { leafPrefix } from '../../app/runs/bounds.ts'
import { endLeaf, findLeaves, leafFolders } from '../../app/runs/cgroups.ts'
import { ring } from '../../app/runs/doorbell.ts'
import { hostId } from '../../app/runs/host-id.ts'
import { lookAtMachine, type Machine } from '../../app/runs/machine.ts'
import { readStat } from '../../app/runs/process-identity.ts'
import { readTicket } from '../../app/runs/ticket.ts'
import { cancelTask } from '../../app/store/wishes.ts'
import type { Run } from '../../app/task/run.ts'
import type { Sentence } from '../../app/task/told.ts'
import { sharedMariaDb } from '../helpers/mariadb.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'

/** Cgroups to try the memory limit in, given by whoever starts the tests: those of the machine may be in use for something else. */
const cgroups = (process.env.BGTASK_TEST_CGROUPS ?? '').split(',').filter(Boolean)
const machine = await lookAtMachine(cgroups)
const needs = (what: Sentence | null) => (what === null ? false : `NOT TRIED ON THIS MACHINE: ${what}`)
const needsMemory = needs(machine.places.some(place => place.memory) ? null : machine.prlimit)
const needsPids = needs(machine.places.some(place => place.processes) ? null : 'no pids cgroup for us')
const needsRoot = needs(machine.runAs)

const waits = `import { existsSync } from 'node:fs'
const go = async path => { while (path && !existsSync(path)) await new Promise(resolve => setTimeout(resolve, 20)) }\n`

const actions = {
  'limit/leaks-buffers': `${waits}export const memoryMb = 96
    export const execute = async ({ params }) => {
      await go(params?.go)
      const kept = []
      for (;;) { kept.push(Buffer.alloc(4_000_000, 1)); await new Promise(setImmediate) }
    }`,
  'limit/leaks-small-buffers': `export const memoryMb = 96
    export const execute = () => { const kept = []; for (;;) kept.push(Buffer.allocUnsafeSlow(2_000).fill(1)) }`,
  'limit/leaks-heap': `export const memoryMb = 96
    export const execute = () => { const kept = []; for (;;) kept.push(Array.from({ length: 1000 }, (_, n) => ({ n }))) }`,
  'limit/child-leaks': `import { spawnSync } from 'node:child_process'
    export const memoryMb = 96
    export const execute = () => {
      const child = spawnSync(process.execPath, ['-e', 'const kept = []; for (;;) kept.push(Buffer.alloc(4e6, 1))'])
      return { signal: child.signal, code: child.status, said: String(child.stderr).includes('memory') }
    }`,
  'limit/modest': `export const memoryMb = 64
    export const processes = 16
    export const execute = () => 'well'`,
  'limit/bomb': `${waits}import { spawn } from 'node:child_process'
    export const processes = 32
    export const execute = async ({ params }) => {
      await go(params?.go)
      let born = 0
      const refused = []
      for (let n = 0; n < 60; n++) {
        const child = spawn('sleep', ['300'], { detached: true, env: {}, stdio: 'ignore' })
        child.on('error', error => refused.push(error.code))
        if (child.pid) born++
      }
      await new Promise(resolve => setTimeout(resolve, 50))
      console.log('born', born, 'refused', refused.length, refused[0])
      if (params?.stay) await new Promise(() => setInterval(() => {}, 1000))
      throw new Error('born ' + born + ', refused ' + refused.length + ' ' + refused[0])
    }`,
  'limit/talks': `${waits}export const killOnOutputBytes = 200_000
    export const execute = async ({ params }) => {
      await go(params?.go)
      for (;;) {
        console.log('x'.repeat(params?.lineBytes ?? 999))
        await new Promise(resolve => params?.pauseMs ? setTimeout(resolve, params.pauseMs) : setImmediate(resolve))
      }
    }`,
  'limit/no-new-privileges': `import { readFileSync } from 'node:fs'
    export const noNewPrivileges = true
    export const execute = () => /NoNewPrivs:\\s+(\\d)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]`,
  'limit/nobody': nobodyLooksRound(),
  'limit/nobody-loop': `import { execForeverInterval } from 'bgtask'
    export const runAs = 'nobody'
    export const execute = ctx => execForeverInterval(() => ctx.progress(1, 2, 'here'), 50)`,
  'limit/nobody-waits': `export const runAs = 'nobody'
    export const execute = ctx => new Promise((resolve, reject) => {
      const timer = setInterval(() => {}, 1000)
      ctx.signal.addEventListener('abort', () => { clearInterval(timer); reject(ctx.signal.reason) })
      console.log('waiting')
    })`,
  'limit/nobody-leaks': `export const runAs = 'nobody'
    export const memoryMb = 96
    export const execute = () => { const kept = []; for (;;) kept.push(Buffer.alloc(4_000_000, 1)) }`,
  'limit/nobody-adds': `export const runAs = '65534:65534'
    export const database = true
    export const execute = async ctx => (await ctx.addTask('limit/modest', null, { type: 'added' })).id`,
  'limit/nobody-without-database': `export const runAs = 'nobody'
    export const execute = ctx => ctx.db()`,
  'limit/no-such-user': `export const runAs = 'no-such-user-here'
    export const execute = () => 'ran'`,
  'limit/as-root': `export const runAs = 'root'
    export const execute = () => 'ran'`,
}

function nobodyLooksRound() {
  return `import { spawnSync } from 'node:child_process'
import { accessSync, appendFileSync, constants, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// What a run as nobody can open is looked at here: the cache is the one of the product, and not the one that all tests share.
delete process.env.NODE_COMPILE_CACHE
export const runAs = 'nobody'
const attempt = work => { try { work(); return 'could' } catch (error) { return error.code ?? String(error) } }
export const execute = ctx => {
  const { paths, supervisor, host } = ctx.params
  const tries = Object.fromEntries(paths.flatMap(path => [
    ['read ' + path, attempt(() => readFileSync(path))],
    ['list ' + path, attempt(() => readdirSync(path))],
    ['write ' + path, attempt(() => appendFileSync(path, 'x'))],
    ['make in ' + path, attempt(() => writeFileSync(join(path, 'planted'), 'x'))],
    ['pass ' + path, attempt(() => accessSync(path, constants.F_OK))],
  ]))
  for (const name of ['environ', 'fd', 'mem', 'maps']) tries['supervisor ' + name] = attempt(() => name === 'fd' ? readdirSync('/proc/' + supervisor + '/fd') : readFileSync('/proc/' + supervisor + '/' + name))
  tries['signal the supervisor'] = attempt(() => process.kill(supervisor, 0))
  // Its own open files lead nowhere else.
  for (const fd of readdirSync('/proc/self/fd')) for (const way of ['/..', '/../../bgtask.sqlite', '/../../../session-secret'])
    tries['beyond descriptor ' + fd + way] = attempt(() => readdirSync('/proc/self/fd/' + fd + way))
  ctx.progress(1, 2, 'looked')
  spawnSync('sh', ['-c', 'echo by its own name >> /dev/stdout; echo and the other >> /dev/stderr'], { stdio: 'inherit' })
  const status = readFileSync('/proc/self/status', 'utf8')
  const found = name => new RegExp('^' + name + ':\\\\s+(.*)$', 'm').exec(status)?.[1].split(/\\s+/).join(' ')
  const open = Object.entries(tries).filter(([, how]) => how === 'could').map(([what]) => what)
  return JSON.stringify({ open, tried: Object.keys(tries).length, uid: found('Uid'), gid: found('Gid'), groups: found('Groups'), capabilities: [found('CapPrm'), found('CapEff'), found('CapBnd'), found('CapInh'), found('CapAmb')],
    noNewPrivileges: found('NoNewPrivs'), home: process.env.HOME, left: Object.keys(process.env).filter(name => name.includes('HANDED')) })
}`
}

/** A scene with actions that any user may read. */
const makeLimited = async (
  t: TestContext,
  options: { databaseUrl?: string; env?: Record<string, string> } = {},
): Promise<Scene & { go: string }> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-limits-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  for (const [name, source] of Object.entries(actions)) {
    mkdirSync(join(folder, 'actions', name, '..'), { recursive: true })
    writeFileSync(join(folder, 'actions', `${name}.ts`), source)
  }
  const env = { BGTASK_ACTIONS: join(folder, 'actions'), ...(cgroups.length ? { BGTASK_CGROUPS: cgroups.join(',') } : {}), ...options.env }
  const scene = await makeScene(t, { ...options, env })
  const prefix = leafPrefix(hostId(scene.runtime))
  t.after(async () => {
    for (const leaf of findLeaves(cgroups, prefix)) assert.deepEqual(await endLeaf(leaf, 5_000), [])
  })
  return { ...scene, go: join(folder, 'go') }
}

const leavesOf = (scene: Scene) => findLeaves(cgroups, leafPrefix(hostId(scene.runtime)))
const onlyRun = async (scene: Scene, id: number): Promise<Run> => {
  await scene.untilState(id, ['succeeded', 'failed'], 40_000)
  const runs = await scene.runs(id)
  assert.equal(runs.length, 1)
  return runs[0]!
}
const once = { rerunAfterCrash: false }
const ticketOf = (scene: Scene, id: number) => readTicket(join(scene.runtime, 'runs', `${id}-1`))!

test(`the ways of this machine: ${waysOf(machine)}`, () => assert.deepEqual(machine.troubles, []))

function waysOf({ places }: Machine) {
  return `cgroups that are ours: ${places.map(({ folder }) => folder).join(', ') || 'none'} of ${leafFolders(cgroups).join(', ') || 'none'}`
}

test('a leak dies alone, of memory, whatever it leaks', { skip: needsMemory, timeout: 120_000 }, async t => {
  const scene = await makeLimited(t)
  const supervisor = await scene.supervise()
  const beside = await scene.background.addTask('limit/nobody-loop', {}, 'FOREVER').catch(() => null)
  for (const action of ['leaks-buffers', 'leaks-small-buffers', 'leaks-heap']) {
    const { id } = await scene.background.addTask(`limit/${action}`, null, once)
    const run = await onlyRun(scene, id)
    assert.equal(run.outcome, 'out-of-memory', `${action}: ${JSON.stringify(run)}`)
    assert.match(run.error!, /It needed more memory than its limit of 96 MB \(memoryMb\)\./)
  }
  const child = await scene.background.addTask('limit/child-leaks', null, once)
  const { content } = await onlyRun(scene, child.id)
  assert.notEqual((JSON.parse(content!) as { code: number | null }).code, 0, content!)
  if (beside && !needsRoot) assert.equal((await scene.task(beside.id)).number, 1, 'its neighbour did not notice')
  assert.equal((await onlyRun(scene, (await scene.background.addTask('limit/modest')).id)).outcome, 'succeeded')
  assert.match(scene.supervisorLog(), /run \d+-1 \(limit\/leaks-buffers\) has crashed: out-of-memory/)
  await supervisor.stop()
  assert.deepEqual(leavesOf(scene), [])
})

test('a leak of an adopted run is called by its name too', { skip: needsMemory, timeout: 60_000 }, async t => {
  const scene = await makeLimited(t)
  const first = await scene.supervise()
  const { id } = await scene.background.addTask('limit/leaks-buffers', { go: scene.go }, once)
  await scene.untilState(id, 'running')
  await until('it has a process', () => scene.marked().length === 1)
  await first.kill()
  const second = await scene.supervise()
  await until('it is adopted', async () => (await scene.runs(id))[0]?.adopted)
  writeFileSync(scene.go, '')
  const run = await onlyRun(scene, id)
  assert.equal(run.outcome, 'out-of-memory', JSON.stringify(run))
  await second.stop()
  assert.deepEqual(leavesOf(scene), [])
})

test('a fork bomb is contained, also what it hid from its mark, and says so', { skip: needsPids, timeout: 60_000 }, async t => {
  const scene = await makeLimited(t)
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('limit/bomb', {}, once)
  const run = await onlyRun(scene, id)
  assert.match(run.content!, /^born \d+, refused [1-9]\d* EAGAIN$/)
  const born = Number(/born (\d+)/.exec(run.content!)![1])
  assert.ok(born < 32, `${born} were born`)
  assert.match(run.error!, /times it wanted more processes or threads than its limit of 32 \(processes\)/)
  assert.equal(existsSync(ticketOf(scene, id).bounds!.leaves[0]!.folder), false, 'its leaf is gone, and so is all that was in it')
  await supervisor.stop()
})

test('a fork bomb stays contained through a SIGKILL of its supervisor, and ends with its task', {
  skip: needsPids,
  timeout: 60_000,
}, async t => {
  const scene = await makeLimited(t)
  const first = await scene.supervise()
  const { id } = await scene.background.addTask('limit/bomb', { go: scene.go, stay: true }, { graceMs: 500 })
  await until('it has a process', () => scene.marked().length === 1 && ticketOf(scene, id).process)
  await first.kill()
  const second = await scene.supervise()
  await until('it is adopted', async () => (await scene.runs(id))[0]?.adopted)
  const { folder } = ticketOf(scene, id).bounds!.leaves[0]!
  assert.ok(existsSync(folder), 'the leaf of a run that goes on is not swept away')
  writeFileSync(scene.go, '')
  const members = () => readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
  const pids = await until('it has forked', () => (members().length > 10 ? members() : null))
  assert.ok(pids.length <= 32)
  await cancelTask(scene.background.db, id, 'test', Date.now())
  ring(scene.runtime)
  await scene.untilState(id, 'cancelled', 20_000)
  await until('the leaf is gone', () => !existsSync(folder))
  assert.ok(pids.every(pid => readStat(pid) === null || readStat(pid)!.state === 'Z'))
  await second.stop()
})

test('a leaf that a dead supervisor left goes at the next start, with what is in it', { skip: needsPids, timeout: 60_000 }, async t => {
  const scene = await makeLimited(t)
  const first = await scene.supervise()
  const { id } = await scene.background.addTask('limit/bomb', { stay: true }, once)
  const pid = await until('it has forked', () => {
    const found = scene.marked()[0]?.pid
    return found &&
      existsSync(join(scene.runtime, 'runs', `${id}-1`, 'output.log')) &&
      /born/.test(readFileSync(join(scene.runtime, 'runs', `${id}-1`, 'output.log'), 'utf8'))
      ? found
      : null
  })
  const { folder } = ticketOf(scene, id).bounds!.leaves[0]!
  await first.kill()
  process.kill(pid, 'SIGKILL')
  await until('its first process is gone', () => readStat(pid) === null)
  const orphans = readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)
  assert.ok(orphans.length > 0, 'without a mark and in other groups, so only the leaf knows them')
  const second = await scene.supervise()
  await until('the leaf is gone', () => !existsSync(folder))
  await second.stop()
})

for (const [how, params] of [
  ['slowly', { pauseMs: 1 }],
  ['as fast as it can', { lineBytes: 50_000 }],
] as const) {
  test(`a run that prints too much, ${how}, is ended as failed`, { timeout: 60_000 }, async t => {
    const scene = await makeLimited(t)
    const supervisor = await scene.supervise()
    const { id } = await scene.background.addTask('limit/talks', params, once)
    const run = await onlyRun(scene, id)
    assert.equal(run.outcome, 'failed')
    assert.equal(run.content, 'It printed more than its limit of 200,000 bytes (killOnOutputBytes) and was ended.')
    // How much more depends on how busy the machine is: it is stopped as soon as that is seen.
    assert.ok(run.outputBytes! > 200_000, `${run.outputBytes} bytes`)
    t.diagnostic(`${run.outputBytes} bytes lay there`)
    assert.deepEqual(scene.marked(), [])
    await supervisor.stop()
  })
}

test('the limit of output holds over rotations, and after an adoption', { timeout: 60_000 }, async t => {
  const scene = await makeLimited(t, { env: { BGTASK_OUTPUT_BYTES: '65536' } })
  const first = await scene.supervise()
  const { id } = await scene.background.addTask('limit/talks', { pauseMs: 8 }, once)
  const folder = join(scene.runtime, 'runs', `${id}-1`)
  await until('it was rotated', () => existsSync(join(folder, 'printed.json')))
  const { pid } = scene.marked()[0]!
  await first.kill()
  // It rests until somebody watches it again: how long that takes, and so what it would print meanwhile, is the machine's affair.
  process.kill(pid, 'SIGSTOP')
  const second = await scene.supervise()
  await until('it is adopted', async () => (await scene.runs(id))[0]?.adopted)
  process.kill(pid, 'SIGCONT')
  const run = await onlyRun(scene, id)
  assert.match(run.content!, /200,000 bytes/)
  const printed =
    (JSON.parse(readFileSync(join(folder, 'printed.json'), 'utf8')) as { bytes: number }).bytes + statSync(join(folder, 'output.log')).size
  assert.ok(printed > 200_000 && printed < 300_000, `${printed} bytes were printed in all`)
  await second.stop()
})

test('no new privileges, for who asks for nothing else', { skip: needs(machine.noNewPrivileges) }, async t => {
  const scene = await makeLimited(t)
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('limit/no-new-privileges')
  assert.equal((await onlyRun(scene, id)).content, '1')
  await supervisor.stop()
})

test('a run as nobody: it works, and nothing of ours is open to it', { skip: needsRoot, timeout: 60_000 }, async t => {
  const scene = await makeLimited(t)
  const supervisor = await scene.supervise()
  const neighbour = await scene.background.addTask('limit/nobody-waits')
  await scene.untilState(neighbour.id, 'running')
  writeFileSync(join(scene.runtime, 'session-secret'), 'secret', { mode: 0o600 })
  const { id } = await scene.background.addTask('limit/nobody', null, { runAt: Date.now() + 86_400_000 })
  // All that lies there, the folder of its own run included.
  const lying = readdirSync(scene.runtime, { recursive: true }).map(String)
  // Of the hundreds of files of the compile cache a few: all of them are more than params may hold.
  const { cached = [], others = [] } = Object.groupBy(lying, path => (path.startsWith('compile-cache') ? 'cached' : 'others'))
  const paths = [scene.runtime, ...[...others, ...cached.slice(0, 20)].map(path => join(scene.runtime, path))]
  const own = ['', 'ticket.json', 'output.log', 'beat.json', 'outcome.said', 'stop.json'].map(name =>
    join(scene.runtime, 'runs', `${id + 1}-1`, name),
  )
  const look = await scene.background.addTask('limit/nobody', { paths: [...paths, ...own], supervisor: supervisor.info.pid })
  assert.equal(look.id, id + 1)
  const run = await onlyRun(scene, look.id)
  assert.equal(run.outcome, 'succeeded', run.error ?? '')
  const said = JSON.parse(run.content!) as {
    open: string[]
    tried: number
    uid: string
    gid: string
    groups: string
    capabilities: string[]
    noNewPrivileges: string
    home: string
    left: string[]
  }
  assert.ok(said.tried > 5 * paths.length, `${said.tried} ways were tried`)
  assert.deepEqual(said.open, [`pass ${scene.runtime}`], 'it may know that the runtime folder is there')
  assert.deepEqual(
    [said.uid, said.gid, said.noNewPrivileges, said.home, said.left],
    ['65534 65534 65534 65534', '65534 65534 65534 65534', '1', '/nonexistent', []],
  )
  assert.deepEqual(said.capabilities, Array(5).fill('0000000000000000'))
  const output = readFileSync(join(scene.runtime, 'runs', `${look.id}-1`, 'output.log'), 'utf8')
  assert.match(output, /by its own name\nand the other\n/)
  for (const name of readdirSync(join(scene.runtime, 'runs', `${look.id}-1`))) {
    const stat = statSync(join(scene.runtime, 'runs', `${look.id}-1`, name))
    assert.equal(stat.mode & 0o777, 0o600, name)
    assert.equal(stat.uid, name === 'output.log' ? 65534 : 0, name)
  }
  assert.equal(statSync(join(scene.runtime, 'runs', `${look.id}-1`)).mode & 0o777, 0o700)
  await supervisor.stop()
})

test('a loop as nobody: its beat is seen, its lock is held, it is adopted, stopped by word', {
  skip: needsRoot,
  timeout: 60_000,
}, async t => {
  const scene = await makeLimited(t)
  const first = await scene.supervise()
  const { id } = await scene.background.addTask('limit/nobody-loop', {}, 'FOREVER')
  await scene.untilState(id, 'running')
  const folder = join(scene.runtime, 'runs', `${id}-1`)
  const beat = () =>
    JSON.parse(readFileSync(join(folder, 'beat.json'), 'utf8').trim() || '{}') as { iterations?: number; progress?: { note: string } }
  await until('it beats', () => (beat().iterations ?? 0) > 3)
  assert.equal(beat().progress?.note, 'here')
  await first.kill()
  const second = await scene.supervise()
  await until('it is adopted', async () => (await scene.runs(id))[0]?.adopted)
  // It is written over in place: for a moment nothing is there.
  const iterations = await until('it tells', () => beat().iterations)
  await until('it goes on', () => (beat().iterations ?? 0) > iterations)
  assert.equal(scene.marked().length, 1)
  assert.equal(await second.stop(), 0)
  const [run] = await scene.runs(id)
  assert.equal(run!.outcome, 'interrupted')
  assert.ok(run!.iterations! > 3)
})

test('a run as nobody learns why it is asked to stop', { skip: needsRoot, timeout: 60_000 }, async t => {
  const scene = await makeLimited(t)
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('limit/nobody-waits', {}, { timeoutMs: 1_000, graceMs: 5_000 })
  await scene.untilState(id, 'failed')
  const [run] = await scene.runs(id)
  assert.deepEqual([run!.outcome, run!.signal], ['timed-out', null])
  await supervisor.stop()
})

test('memory bounds a run as nobody too', { skip: needsRoot || needsMemory, timeout: 60_000 }, async t => {
  const scene = await makeLimited(t)
  const supervisor = await scene.supervise()
  const run = await onlyRun(scene, (await scene.background.addTask('limit/nobody-leaks', null, once)).id)
  assert.equal(run.outcome, 'out-of-memory', JSON.stringify(run))
  await supervisor.stop()
})

test('the database goes to a run as nobody by name only, and only from a server', { skip: needsRoot, timeout: 120_000 }, async t => {
  const scene = await makeLimited(t, { databaseUrl: await (await sharedMariaDb()).newDatabase() })
  const supervisor = await scene.supervise()
  const adding = await onlyRun(scene, (await scene.background.addTask('limit/nobody-adds')).id)
  assert.equal(adding.outcome, 'succeeded', `${adding.content}\n${adding.error}`)
  assert.equal((await scene.task(Number(adding.content))).type, 'added')
  const without = await onlyRun(scene, (await scene.background.addTask('limit/nobody-without-database')).id)
  assert.match(without.content!, /runs as nobody and is not handed the database.*database: true/)
  await supervisor.stop()

  const small = await makeLimited(t)
  const other = await small.supervise()
  const refused = await onlyRun(small, (await small.background.addTask('limit/nobody-adds')).id)
  assert.deepEqual([refused.outcome, refused.exitCode], ['failed', 78])
  assert.match(refused.content!, /database cannot be had here: the database is a file of ours/)
  await other.stop()
})

test('what cannot be had is refused with a sentence, and the action is not run', { skip: needsRoot, timeout: 60_000 }, async t => {
  const scene = await makeLimited(t)
  const supervisor = await scene.supervise()
  for (const [action, sentence] of [
    ['no-such-user', /runAs cannot be had here: there is no user "no-such-user-here" on this machine\./],
    ['as-root', /runAs cannot be had here: root is the user that it shall not be\./],
  ] as const) {
    const { id } = await scene.background.addTask(`limit/${action}`)
    const run = await onlyRun(scene, id)
    assert.deepEqual([run.outcome, run.exitCode], ['failed', 78])
    assert.match(run.content!, sentence)
    assert.equal((await scene.task(id)).reason?.code, 'misconfigured')
  }
  chmodSync(join(scene.config.actions[0]!, 'limit', 'nobody-waits.ts'), 0o600)
  const closed = await onlyRun(scene, (await scene.background.addTask('limit/nobody-waits')).id)
  assert.match(closed.content!, /asks to run as nobody, who cannot read .*nobody-waits\.ts/)
  const loop = await scene.background.addTask('limit/no-such-user', { canary: 'kept out of the log' }, 'FOREVER')
  assert.equal((await scene.untilState(loop.id, 'tripped')).reason?.code, 'misconfigured')
  const log = scene.supervisorLog()
  assert.match(log, new RegExp(`loop ${loop.id} \\(limit/no-such-user\\) has tripped after 1 failures in a row, the last by exit code 78`))
  assert.doesNotMatch(log, /kept out of the log/)
  await supervisor.stop()
})
