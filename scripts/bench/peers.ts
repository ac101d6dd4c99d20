import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { findProgram } from '../../test/helpers/tools.ts'
import { until } from './until.ts'

/** What another queue does with the same tasks on this machine. */
export interface PeerFigures {
  name: string
  addPerSecond: number
  processPerSecond: number
  /** From before the add to the start of the handler, in ms. */
  latencies: number[]
}

/**
 * BullMQ on a private Redis and graphile-worker on a private PostgreSQL, as far as their servers are installed (Debian: redis-server, postgresql).
 * Their packages are no dependencies of ours: they are brought into the given folder, in the versions that the figures are known for.
 * Asked for by BGTASK_BENCH_PEERS=on, since it takes some 30 MB from the npm registry.
 */
export const measurePeers = async (folder: string, tasks: number, samples: number): Promise<PeerFigures[]> => {
  if (process.env.BGTASK_BENCH_PEERS !== 'on') return []
  const redis = findProgram('redis-server')
  const postgres = postgresFolder()
  if (!redis && !postgres) return []
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, 0o755)
  const packages = [...(redis ? ['bullmq@6.7.0', 'ioredis@6.0.0'] : []), ...(postgres ? ['graphile-worker@0.17.3'] : [])]
  execFileSync('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts', ...packages], { stdio: 'ignore' })
  const found: PeerFigures[] = []
  if (redis)
    found.push(await withRedis(redis, join(folder, 'redis'), url => run(folder, 'bullmq', bullmq, [url, String(tasks), String(samples)])))
  if (postgres)
    found.push(
      await withPostgres(postgres, join(folder, 'postgres'), url =>
        run(folder, 'graphile', graphile, [url, String(tasks), String(samples)]),
      ),
    )
  return found
}

const run = (folder: string, name: string, program: string, given: string[]): PeerFigures => {
  const path = join(folder, `${name}.mjs`)
  writeFileSync(path, program)
  return JSON.parse(
    execFileSync(process.execPath, [path, ...given], { encoding: 'utf8', maxBuffer: 1e8 })
      .split('\n')
      .findLast(Boolean)!,
  )
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

const withRedis = async <T>(program: string, folder: string, work: (url: string) => T): Promise<T> => {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const given = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--appendonly',
    'yes',
    '--appendfsync',
    'everysec',
    '--save',
    '',
  ]
  const server = spawn(program, [...given, '--maxmemory-policy', 'noeviction'], { stdio: 'ignore' })
  try {
    await until('redis answers', () => answers(port))
    return work(`redis://127.0.0.1:${port}`)
  } finally {
    await end(server)
  }
}

const withPostgres = async <T>(programs: string, folder: string, work: (url: string) => T): Promise<T> => {
  mkdirSync(folder, { recursive: true })
  // It refuses to be root.
  const asOther = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
  if (asOther.length) execFileSync('chown', ['65534:65534', folder])
  const data = join(folder, 'data')
  const command = (name: string, given: string[]) => [...asOther, join(programs, name), ...given]
  const [init, ...initGiven] = command('initdb', ['-D', data, '-U', 'bench', '--auth=trust', '-E', 'UTF8'])
  execFileSync(init!, initGiven, { stdio: 'ignore', cwd: folder })
  const port = await freePort()
  const [program, ...given] = command('postgres', ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', folder])
  const server = spawn(program!, given, { stdio: 'ignore', cwd: folder })
  try {
    await until('postgres answers', () => spawnSync(join(programs, 'pg_isready'), ['-h', '127.0.0.1', '-p', String(port)]).status === 0)
    return work(`postgres://bench@127.0.0.1:${port}/postgres`)
  } finally {
    await end(server)
  }
}

const answers = (port: number) =>
  fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    (error: { cause?: { code?: string } }) => error.cause?.code !== 'ECONNREFUSED',
  )

const end = async (server: ChildProcess) => {
  const ended = new Promise(resolve => server.once('exit', resolve))
  server.kill('SIGINT')
  await ended
}

const postgresFolder = (): string | null => {
  const root = '/usr/lib/postgresql'
  const newest = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a))[0] : undefined
  const folder = newest && join(root, newest, 'bin')
  return folder && existsSync(join(folder, 'initdb')) ? folder : null
}

const bullmq = `import { Queue, Worker } from 'bullmq'
const [url, tasks, samples] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const connection = { host: '127.0.0.1', port: Number(new URL(url).port), maxRetriesPerRequest: null }
const queue = new Queue('bench', { connection })
await queue.waitUntilReady()
let began = performance.now()
for (let left = tasks; left > 0; left -= 1000)
  await queue.addBulk(Array.from({ length: Math.min(1000, left) }, () => ({ name: 'no-op', data: {} })))
const addPerSecond = tasks / ((performance.now() - began) / 1000)
let done = 0, first = 0
let { promise, resolve } = Promise.withResolvers()
const latencies = []
const worker = new Worker('bench', async job => {
  if (job.data.at) latencies.push(performance.now() - job.data.at)
  else first ||= performance.now()
}, { connection, concurrency: 100 })
worker.on('completed', job => { if (job.data.at) resolve(); else if (++done === tasks) resolve() })
await promise
const processPerSecond = tasks / ((performance.now() - first) / 1000)
for (let one = 0; one < samples; one++) {
  ;({ promise, resolve } = Promise.withResolvers())
  await queue.add('one', { at: performance.now() })
  await promise
  await new Promise(next => setTimeout(next, 10))
}
console.log(JSON.stringify({ name: 'BullMQ 6.7.0, Redis (flushed every second)', addPerSecond, processPerSecond, latencies }))
process.exit(0)
`

const graphile = `import { makeWorkerUtils, run } from 'graphile-worker'
const [connectionString, tasks, samples] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const quiet = { error() {}, warn() {}, info() {}, debug() {} }
const { Logger } = await import('graphile-worker')
const logger = new Logger(() => () => {})
const utils = await makeWorkerUtils({ connectionString, logger })
await utils.migrate()
let began = performance.now()
for (let left = tasks; left > 0; left -= 1000)
  await utils.addJobs(Array.from({ length: Math.min(1000, left) }, () => ({ identifier: 'noop', payload: {} })))
const addPerSecond = tasks / ((performance.now() - began) / 1000)
let done = 0, first = 0
let { promise, resolve } = Promise.withResolvers()
const latencies = []
const events = new (await import('node:events')).EventEmitter()
events.on('job:complete', () => { if (latencies.length || ++done === tasks) resolve() })
const runner = await run({
  connectionString, logger, events, concurrency: 100, noHandleSignals: true, pollInterval: 2000,
  preset: { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  taskList: { noop: payload => { if (payload.at) latencies.push(performance.now() - payload.at); else first ||= performance.now() } },
})
await promise
const processPerSecond = tasks / ((performance.now() - first) / 1000)
for (let one = 0; one < samples; one++) {
  ;({ promise, resolve } = Promise.withResolvers())
  await utils.addJob('noop', { at: performance.now() })
  await promise
  await new Promise(next => setTimeout(next, 10))
}
console.log(JSON.stringify({ name: 'graphile-worker 0.17.3, PostgreSQL (every commit flushed)', addPerSecond, processPerSecond, latencies }))
process.exit(0)
`
