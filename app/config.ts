import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { BgtaskError } from './errors.ts'
import { inWorkFolder } from './paths.ts'

/** Everything that can be set: by environment variable, else by a key of `bgtask.config.ts`, else the default. */
export interface Config {
  /** DATABASE_URL: `sqlite:<path>` or `mysql://user:password@host:port/database`. Default: bgtask.sqlite in the runtime folder. */
  databaseUrl: string
  /** HOST: address the panel listens on. Default 127.0.0.1. */
  host: string
  /** PORT: default 8080. */
  port: number
  /** BGTASK_RUNTIME: absolute path of the runtime folder. Default ./runtime. */
  runtime: string
  /** BGTASK_ACTIONS: absolute path of the actions folder. Default ./app/actions. */
  actions: string
  /** BGTASK_PUBLIC_URL: the address people use, when a proxy stands in front. Default: none. */
  publicUrl: string | null
  /** BGTASK_TRUST_PROXY: addresses or networks (`10.0.0.0/8`) of proxies whose X-Forwarded-* are believed. Default: this machine, when BGTASK_PUBLIC_URL is https; else none. */
  trustProxy: readonly string[]
  /** BGTASK_INSECURE_LISTEN: allows HOST to be another address than loopback though nothing says that TLS stands in front. Default off. */
  insecureListen: boolean
  /** BGTASK_ADMIN_PASSWORD: creates user `admin` with it when there is no user yet. */
  adminPassword: string | null
  /** BGTASK_AUTOSTART: the loop starts with `serve`. Default on. */
  autostart: boolean
  /** BGTASK_MAX_RUNNING: ONCE runs at once. Default 2 × cores. */
  maxRunning: number
  /** BGTASK_OUTPUT_BYTES: output of a run is rotated once beyond this. Default 50 MB. */
  outputBytes: number
  /** BGTASK_KEEP_RUNS: runs of a loop kept on disk and in the database. Default 20 (rows: ten times as many). */
  keepRuns: number
  /** BGTASK_KEEP_DAYS: days that ended ONCE tasks and their run folders are kept. Default 7. */
  keepDays: number
  /** BGTASK_KEEP_AUDIT_DAYS: days that audit rows are kept. Default 400. */
  keepAuditDays: number
  /** BGTASK_CHILD_ENV: names of environment variables handed to runners besides the fixed ones. Default none. */
  childEnv: readonly string[]
  /** BGTASK_SECRETS: names of environment variables whose values are never shown: not in output, params, pages or logs. Default none. */
  secrets: readonly string[]
}

/** @throws BgtaskError `misconfigured`, naming the variable, its value and what is allowed */
export const loadConfig = async (env: NodeJS.ProcessEnv = process.env): Promise<Config> => {
  const file = await readConfigFile()
  const given = (name: string): string | undefined => {
    const value = env[name] ?? file[name]
    return value === undefined || value === null || value === '' ? undefined : Array.isArray(value) ? value.join(',') : String(value)
  }
  const runtime = inWorkFolder(given('BGTASK_RUNTIME') ?? 'runtime')
  const shownUrl = publicUrl(given('BGTASK_PUBLIC_URL'))
  return {
    databaseUrl: databaseUrl(given('DATABASE_URL'), runtime),
    host: given('HOST') ?? '127.0.0.1',
    port: wholeNumber('PORT', given('PORT'), 8080, 0, 65_535),
    runtime,
    actions: inWorkFolder(given('BGTASK_ACTIONS') ?? join('app', 'actions')),
    publicUrl: shownUrl,
    trustProxy: networks(given('BGTASK_TRUST_PROXY')) ?? (shownUrl?.startsWith('https:') ? ['127.0.0.1', '::1'] : []),
    insecureListen: onOff('BGTASK_INSECURE_LISTEN', given('BGTASK_INSECURE_LISTEN'), false),
    adminPassword: given('BGTASK_ADMIN_PASSWORD') ?? null,
    autostart: onOff('BGTASK_AUTOSTART', given('BGTASK_AUTOSTART'), true),
    maxRunning: wholeNumber('BGTASK_MAX_RUNNING', given('BGTASK_MAX_RUNNING'), 2 * availableParallelism(), 1, 10_000),
    outputBytes: wholeNumber('BGTASK_OUTPUT_BYTES', given('BGTASK_OUTPUT_BYTES'), 50_000_000, 65_536, 1e12),
    keepRuns: wholeNumber('BGTASK_KEEP_RUNS', given('BGTASK_KEEP_RUNS'), 20, 1, 100_000),
    keepDays: wholeNumber('BGTASK_KEEP_DAYS', given('BGTASK_KEEP_DAYS'), 7, 1, 36_500),
    keepAuditDays: wholeNumber('BGTASK_KEEP_AUDIT_DAYS', given('BGTASK_KEEP_AUDIT_DAYS'), 400, 1, 36_500),
    childEnv: listed(given('BGTASK_CHILD_ENV')),
    secrets: listed(given('BGTASK_SECRETS')),
  }
}

/** The effective values for people: no password, no part of a secret. */
export const maskedConfig = (config: Config): Record<string, string> => ({
  DATABASE_URL: maskUrl(config.databaseUrl),
  HOST: config.host,
  PORT: String(config.port),
  BGTASK_RUNTIME: config.runtime,
  BGTASK_ACTIONS: config.actions,
  BGTASK_PUBLIC_URL: config.publicUrl ?? '(none)',
  BGTASK_TRUST_PROXY: config.trustProxy.join(',') || '(none)',
  BGTASK_INSECURE_LISTEN: config.insecureListen ? 'on' : 'off',
  BGTASK_ADMIN_PASSWORD: config.adminPassword === null ? '(none)' : '(set)',
  BGTASK_AUTOSTART: config.autostart ? 'on' : 'off',
  BGTASK_MAX_RUNNING: String(config.maxRunning),
  BGTASK_OUTPUT_BYTES: String(config.outputBytes),
  BGTASK_KEEP_RUNS: String(config.keepRuns),
  BGTASK_KEEP_DAYS: String(config.keepDays),
  BGTASK_KEEP_AUDIT_DAYS: String(config.keepAuditDays),
  BGTASK_CHILD_ENV: config.childEnv.join(',') || '(none)',
  BGTASK_SECRETS: config.secrets.join(',') || '(none)',
})

export const maskUrl = (url: string) => url.replace(/^([a-z]+:\/\/[^:/@]*):.*@/i, '$1:****@')

const readConfigFile = async (): Promise<Record<string, unknown>> => {
  const path = ['bgtask.config.ts', 'bgtask.config.js'].map(inWorkFolder).find(existsSync)
  if (!path) return {}
  try {
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown }
    if (typeof module.default !== 'object' || module.default === null) throw new Error('it has no default export that is an object')
    return module.default as Record<string, unknown>
  } catch (error) {
    throw new BgtaskError('misconfigured', `${path} cannot be used: ${(error as Error).message}. Mend it, or move it away.`, {
      cause: error,
    })
  }
}

const databaseUrl = (given: string | undefined, runtime: string) => {
  if (!given) return `sqlite:${join(runtime, 'bgtask.sqlite')}`
  if (/^sqlite:./.test(given)) return `sqlite:${inWorkFolder(given.slice('sqlite:'.length))}`
  if (/^(mysql|mariadb):\/\//.test(given) && URL.canParse(given)) return given.replace(/^mariadb:/, 'mysql:')
  throw new BgtaskError(
    'misconfigured',
    `DATABASE_URL is ${JSON.stringify(maskUrl(given))}; allowed are sqlite:<path> and mysql://user:password@host:port/database.`,
  )
}

const publicUrl = (given: string | undefined) => {
  if (!given) return null
  if (!/^https?:\/\//.test(given) || !URL.canParse(given)) {
    throw new BgtaskError('misconfigured', `BGTASK_PUBLIC_URL is ${JSON.stringify(given)}; it must be like https://panel.example.com.`)
  }
  return new URL(given).origin
}

const listed = (given: string | undefined): string[] =>
  (given ?? '')
    .split(',')
    .map(part => part.trim())
    .filter(Boolean)

/** @returns undefined when nothing is given */
const networks = (given: string | undefined): string[] | undefined => {
  if (given === undefined) return undefined
  const all = listed(given)
  for (const network of all) {
    const [address = '', bits, ...rest] = network.split('/')
    const most = isIP(address) === 6 ? 128 : 32
    if (isIP(address) !== 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most))) continue
    throw new BgtaskError(
      'misconfigured',
      `BGTASK_TRUST_PROXY has ${JSON.stringify(network)}; allowed are addresses and networks like 10.0.0.1 or 10.0.0.0/8, with commas between.`,
    )
  }
  return all
}

const wholeNumber = (name: string, given: string | undefined, fallback: number, least: number, most: number) => {
  if (given === undefined) return fallback
  const value = Number(given)
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new BgtaskError('misconfigured', `${name} is ${JSON.stringify(given)}; it must be a whole number from ${least} to ${most}.`)
}

const onOff = (name: string, given: string | undefined, fallback: boolean) => {
  if (given === undefined) return fallback
  if (/^(on|1|true|yes)$/i.test(given)) return true
  if (/^(off|0|false|no)$/i.test(given)) return false
  throw new BgtaskError('misconfigured', `${name} is ${JSON.stringify(given)}; allowed are on and off.`)
}
