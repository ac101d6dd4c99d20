import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { BgtaskError, lineOf, messageOf } from './errors.ts'
import { inWorkFolder } from './paths.ts'
import { nearestNames } from './task/nearest-names.ts'
import { isMailAddress, type Notify, readWebhookKey } from './task/notify.ts'
import { readQuietHours } from './task/quiet-hours.ts'

/** Everything that can be set: by environment variable, else by a key of `bgtask.config.ts`, else the default. */
export interface Config {
  /** DATABASE_URL, or DATABASE_URL_FILE with the path of a file that holds it: `sqlite:<path>` or `mysql://user:password@host:port/database`. Default: bgtask.sqlite in the runtime folder. */
  databaseUrl: string
  /** HOST: address the panel listens on. Default 127.0.0.1. */
  host: string
  /** PORT: default 8080. */
  port: number
  /** BGTASK_RUNTIME: absolute path of the runtime folder. Default ./runtime. */
  runtime: string
  /** BGTASK_ACTIONS: absolute paths of the actions folders; in the environment with a colon between, as in PATH. Default ./app/actions. */
  actions: readonly string[]
  /** BGTASK_MODULES: absolute path of the folder of modules, which have cron hooks and queues. Default ./app/modules. */
  modules: string
  /** BGTASK_COMMANDS: absolute path of the commands file. Default: commands.ts, .js or .json beside bgtask.config.ts, whichever is there. */
  commands: string | null
  /** BGTASK_PUBLIC_URL: the address people use, when a proxy stands in front. Default: none. */
  publicUrl: string | null
  /** BGTASK_PREFIX: the address of the panel, and what all its pages' addresses begin with. Default /admin. */
  prefix: string
  /** BGTASK_TRUST_PROXY: addresses or networks (`10.0.0.0/8`) of proxies whose X-Forwarded-* are believed. Default: this machine, when BGTASK_PUBLIC_URL is https; else none. */
  trustProxy: readonly string[]
  /** BGTASK_INSECURE_LISTEN: allows HOST to be another address than loopback though nothing says that TLS stands in front. Default off. */
  insecureListen: boolean
  /** BGTASK_SOCKET: absolute path of a Unix socket on which `serve` answers for the API besides. Default: none. */
  socket: string | null
  /** BGTASK_SOCKET_MODE: its permissions, octal. Default 0600: this user alone. */
  socketMode: number
  /** BGTASK_METRICS: `token`, /metrics takes a token or somebody who is signed in; `open`: also any process of this machine without. Default token. */
  metrics: 'token' | 'open'
  /** BGTASK_ADMIN_PASSWORD, or BGTASK_ADMIN_PASSWORD_FILE with the path of a file that holds it: creates user `admin` with it when there is no user yet. */
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
  /** BGTASK_KEEP_BYTES: disk space that the folders of ended runs may take; beyond it the oldest go. Default 5 GB. */
  keepBytes: number
  /** BGTASK_KEEP_AUDIT_DAYS: days that audit rows are kept. Default 400. */
  keepAuditDays: number
  /** BGTASK_CGROUPS: folders of cgroups that were given to bgtask, for the limits of actions. Default: its own cgroups, where they are the topmost. */
  cgroups: readonly string[]
  /** BGTASK_CHILD_ENV: names of environment variables handed to runners besides the fixed ones. Default none. */
  childEnv: readonly string[]
  /** BGTASK_SECRETS: names of environment variables whose values are never shown: not in output, params, pages or logs. Default none. */
  secrets: readonly string[]
  /** BGTASK_NOTIFY_…: to whom incidents are told, and how. Default null: to nobody. */
  notify: Notify | null
}

/** @throws BgtaskError `misconfigured`, naming the variable, its value and what is allowed */
export const loadConfig = async (env: NodeJS.ProcessEnv = process.env): Promise<Config> => {
  const file = await readConfigFile()
  const given = (name: ConfigName): string | undefined => {
    const value = env[name] ?? file[name]
    return value === undefined || value === null || value === '' ? undefined : Array.isArray(value) ? value.join(',') : String(value)
  }
  const secret = (name: SecretName) => env[name] || textOfFile(`${name}_FILE`, env) || given(name)
  const runtime = inWorkFolder(given('BGTASK_RUNTIME') ?? 'runtime')
  const shownUrl = publicUrl(given('BGTASK_PUBLIC_URL'))
  const host = given('HOST') ?? '127.0.0.1'
  const port = wholeNumber('PORT', given('PORT'), 8080, 0, 65_535)
  const prefix = checkPrefix('BGTASK_PREFIX', given('BGTASK_PREFIX') ?? '/admin')
  return {
    databaseUrl: databaseUrl(secret('DATABASE_URL'), runtime),
    host,
    port,
    runtime,
    actions: actionsFolders(env.BGTASK_ACTIONS || file.BGTASK_ACTIONS),
    modules: inWorkFolder(given('BGTASK_MODULES') ?? join('app', 'modules')),
    commands: given('BGTASK_COMMANDS') ? inWorkFolder(given('BGTASK_COMMANDS')!) : null,
    publicUrl: shownUrl,
    prefix,
    trustProxy: networks(given('BGTASK_TRUST_PROXY')) ?? (shownUrl?.startsWith('https:') ? ['127.0.0.1', '::1'] : []),
    insecureListen: onOff('BGTASK_INSECURE_LISTEN', given('BGTASK_INSECURE_LISTEN'), false),
    socket: given('BGTASK_SOCKET') ? inWorkFolder(given('BGTASK_SOCKET')!) : null,
    socketMode: permissions('BGTASK_SOCKET_MODE', given('BGTASK_SOCKET_MODE'), 0o600),
    metrics: oneOf('BGTASK_METRICS', given('BGTASK_METRICS'), ['token', 'open']),
    adminPassword: takenFrom(env, secret('BGTASK_ADMIN_PASSWORD')) ?? null,
    autostart: onOff('BGTASK_AUTOSTART', given('BGTASK_AUTOSTART'), true),
    maxRunning: wholeNumber('BGTASK_MAX_RUNNING', given('BGTASK_MAX_RUNNING'), 2 * availableParallelism(), 1, 10_000),
    outputBytes: wholeNumber('BGTASK_OUTPUT_BYTES', given('BGTASK_OUTPUT_BYTES'), 50_000_000, 65_536, 1e12),
    keepRuns: wholeNumber('BGTASK_KEEP_RUNS', given('BGTASK_KEEP_RUNS'), 20, 1, 100_000),
    keepDays: wholeNumber('BGTASK_KEEP_DAYS', given('BGTASK_KEEP_DAYS'), 7, 1, 36_500),
    keepBytes: wholeNumber('BGTASK_KEEP_BYTES', given('BGTASK_KEEP_BYTES'), 5_000_000_000, 1_000_000, 1e15),
    keepAuditDays: wholeNumber('BGTASK_KEEP_AUDIT_DAYS', given('BGTASK_KEEP_AUDIT_DAYS'), 400, 1, 36_500),
    cgroups: folders('BGTASK_CGROUPS', given('BGTASK_CGROUPS')),
    childEnv: handedOn(listed(given('BGTASK_CHILD_ENV'))),
    secrets: listed(given('BGTASK_SECRETS')),
    notify:
      handedNotify(env) ?? readNotify(given, secret, (shownUrl ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`) + prefix),
  }
}

/** The effective values for people: no password, no part of a secret. */
export const maskedConfig = (config: Config): Record<ConfigName, string> => ({
  DATABASE_URL: maskUrl(config.databaseUrl),
  HOST: config.host,
  PORT: String(config.port),
  BGTASK_RUNTIME: config.runtime,
  BGTASK_ACTIONS: config.actions.join(delimiter),
  BGTASK_MODULES: config.modules,
  BGTASK_COMMANDS: config.commands ?? '(commands.ts, .js or .json, if there)',
  BGTASK_PUBLIC_URL: config.publicUrl ?? '(none)',
  BGTASK_PREFIX: config.prefix,
  BGTASK_TRUST_PROXY: config.trustProxy.join(',') || '(none)',
  BGTASK_INSECURE_LISTEN: config.insecureListen ? 'on' : 'off',
  BGTASK_SOCKET: config.socket ?? '(none)',
  BGTASK_SOCKET_MODE: `0${config.socketMode.toString(8)}`,
  BGTASK_METRICS: config.metrics,
  BGTASK_ADMIN_PASSWORD: config.adminPassword === null ? '(none)' : '(set)',
  BGTASK_AUTOSTART: config.autostart ? 'on' : 'off',
  BGTASK_MAX_RUNNING: String(config.maxRunning),
  BGTASK_OUTPUT_BYTES: String(config.outputBytes),
  BGTASK_KEEP_RUNS: String(config.keepRuns),
  BGTASK_KEEP_DAYS: String(config.keepDays),
  BGTASK_KEEP_BYTES: String(config.keepBytes),
  BGTASK_KEEP_AUDIT_DAYS: String(config.keepAuditDays),
  BGTASK_CGROUPS: config.cgroups.join(',') || '(none)',
  BGTASK_CHILD_ENV: config.childEnv.join(',') || '(none)',
  BGTASK_SECRETS: config.secrets.join(',') || '(none)',
  ...maskedNotify(config.notify),
})

export const maskUrl = (url: string) => url.replace(/^([a-z]+:\/\/[^:/@]*):.*@/i, '$1:****@')

/** What may be set. */
export const configNames = [
  'DATABASE_URL',
  'HOST',
  'PORT',
  'BGTASK_RUNTIME',
  'BGTASK_ACTIONS',
  'BGTASK_MODULES',
  'BGTASK_COMMANDS',
  'BGTASK_PUBLIC_URL',
  'BGTASK_PREFIX',
  'BGTASK_TRUST_PROXY',
  'BGTASK_INSECURE_LISTEN',
  'BGTASK_SOCKET',
  'BGTASK_SOCKET_MODE',
  'BGTASK_METRICS',
  'BGTASK_ADMIN_PASSWORD',
  'BGTASK_AUTOSTART',
  'BGTASK_MAX_RUNNING',
  'BGTASK_OUTPUT_BYTES',
  'BGTASK_KEEP_RUNS',
  'BGTASK_KEEP_DAYS',
  'BGTASK_KEEP_BYTES',
  'BGTASK_KEEP_AUDIT_DAYS',
  'BGTASK_CGROUPS',
  'BGTASK_CHILD_ENV',
  'BGTASK_SECRETS',
  'BGTASK_NOTIFY_WEBHOOK',
  'BGTASK_NOTIFY_SECRET',
  'BGTASK_NOTIFY_ALLOW',
  'BGTASK_NOTIFY_SMTP',
  'BGTASK_NOTIFY_FROM',
  'BGTASK_NOTIFY_TO',
  'BGTASK_NOTIFY_LANGUAGE',
  'BGTASK_NOTIFY_QUIET',
  'BGTASK_NOTIFY_ACTIONS',
  'BGTASK_NOTIFY_GATHER',
] as const
type ConfigName = (typeof configNames)[number]
type NotifyName = Extract<ConfigName, `BGTASK_NOTIFY_${string}`>

/** Each of them may be given as a file that holds it, by a name with _FILE at its end. */
const secretNames = [
  'DATABASE_URL',
  'BGTASK_ADMIN_PASSWORD',
  'BGTASK_NOTIFY_WEBHOOK',
  'BGTASK_NOTIFY_SECRET',
  'BGTASK_NOTIFY_SMTP',
] as const satisfies readonly ConfigName[]
type SecretName = (typeof secretNames)[number]

type Given = (name: ConfigName) => string | undefined

const readNotify = (given: Given, secret: (name: SecretName) => string | undefined, panelUrl: string): Notify | null => {
  const webhook = readWebhook(given, secret)
  const mail = readMail(given, secret)
  const language = given('BGTASK_NOTIFY_LANGUAGE') ?? 'en'
  if (language !== 'en' && language !== 'zh') throw wrong('BGTASK_NOTIFY_LANGUAGE', language, 'allowed are en and zh.')
  const quietText = given('BGTASK_NOTIFY_QUIET')
  const quiet = quietText === undefined ? null : readQuietHours(quietText)
  if (quiet && 'fault' in quiet) throw wrong('BGTASK_NOTIFY_QUIET', quietText!, String(quiet.fault))
  const actions = listed(given('BGTASK_NOTIFY_ACTIONS'))
  const noAction = actions.find(action => !/^[\w.-]+(?:\/[\w.-]+)*(?:\/\*)?$/.test(action) || !action.includes('/'))
  if (noAction !== undefined)
    throw wrong('BGTASK_NOTIFY_ACTIONS', noAction, 'allowed are actions like shop/poll, and shop/* for all of shop, with commas between.')
  const gatherMs = 1000 * wholeNumber('BGTASK_NOTIFY_GATHER', given('BGTASK_NOTIFY_GATHER'), 10, 1, 60)
  return webhook || mail ? { webhook, mail, language, quiet, actions, gatherMs, panelUrl } : null
}

/** A process of ours is handed them whole, by a file of the runtime folder. */
const handedNotify = (env: NodeJS.ProcessEnv): Notify | null => {
  // None is there yet where a run is begun by hand beside a loop that was never started.
  if (!env.BGTASK_NOTIFY_FILE || !existsSync(env.BGTASK_NOTIFY_FILE)) return null
  const text = textOfFile('BGTASK_NOTIFY_FILE', env)!
  try {
    return JSON.parse(text) as Notify
  } catch (error) {
    throw new BgtaskError(
      'misconfigured',
      `BGTASK_NOTIFY_FILE is ${env.BGTASK_NOTIFY_FILE}, which is none of ours (${messageOf(error)}).`,
      { cause: error },
    )
  }
}

const readWebhook = (given: Given, secret: (name: SecretName) => string | undefined): Notify['webhook'] => {
  const url = secret('BGTASK_NOTIFY_WEBHOOK')
  const signing = secret('BGTASK_NOTIFY_SECRET')
  if (url === undefined) {
    if (signing !== undefined) throw new BgtaskError('misconfigured', 'BGTASK_NOTIFY_SECRET is set, but BGTASK_NOTIFY_WEBHOOK is not.')
    return null
  }
  // The address itself may be a secret, so it is not repeated.
  if (!/^https?:\/\//.test(url) || !URL.canParse(url))
    throw new BgtaskError('misconfigured', 'BGTASK_NOTIFY_WEBHOOK is no address; it must be like https://hooks.example.com/bgtask.')
  const { protocol, hostname, username } = new URL(url)
  if (username !== '')
    throw new BgtaskError('misconfigured', 'BGTASK_NOTIFY_WEBHOOK has a user name in it, which is not sent: messages are signed instead.')
  const allow = listed(given('BGTASK_NOTIFY_ALLOW')).map(name => name.toLowerCase())
  if (protocol === 'http:' && !allow.includes(bareHost(hostname)))
    throw new BgtaskError(
      'misconfigured',
      `BGTASK_NOTIFY_WEBHOOK is without TLS (http:). Use https:, or allow it with BGTASK_NOTIFY_ALLOW=${bareHost(hostname)} where nobody listens in.`,
    )
  const key = signing === undefined ? null : readWebhookKey(signing)
  if (key === null)
    throw new BgtaskError(
      'misconfigured',
      `BGTASK_NOTIFY_SECRET is ${signing === undefined ? 'not set' : 'no key'}; it signs what is sent, and is whsec_ with base64 of 24 to 64 bytes. Make one: echo "whsec_$(openssl rand -base64 32)"`,
    )
  return { url, key, allow }
}

const bareHost = (hostname: string) => hostname.replace(/^\[|\]$/g, '').toLowerCase()

const readMail = (given: Given, secret: (name: SecretName) => string | undefined): Notify['mail'] => {
  const smtp = secret('BGTASK_NOTIFY_SMTP')
  const from = given('BGTASK_NOTIFY_FROM')
  const to = listed(given('BGTASK_NOTIFY_TO'))
  if (smtp === undefined) {
    const alone = from !== undefined ? 'BGTASK_NOTIFY_FROM' : to.length > 0 ? 'BGTASK_NOTIFY_TO' : null
    if (alone) throw new BgtaskError('misconfigured', `${alone} is set, but BGTASK_NOTIFY_SMTP is not.`)
    return null
  }
  if (!/^smtps?:\/\/[^/]/.test(smtp) || !URL.canParse(smtp))
    throw new BgtaskError(
      'misconfigured',
      'BGTASK_NOTIFY_SMTP is no address; it must be like smtps://user:password@mail.example.com or smtp://127.0.0.1:25.',
    )
  if (from === undefined || !isMailAddress(from))
    throw wrong('BGTASK_NOTIFY_FROM', from ?? '', 'it must be one address, like bgtask@example.com or bgtask <bgtask@example.com>.')
  const noAddress = to.find(address => !isMailAddress(address))
  if (to.length === 0 || noAddress !== undefined)
    throw wrong('BGTASK_NOTIFY_TO', noAddress ?? '', 'it must be addresses like ops@example.com, with commas between.')
  return { smtp, from, to }
}

const wrong = (name: ConfigName, given: string, sentence: string) =>
  new BgtaskError('misconfigured', `${name} is ${JSON.stringify(given)}; ${sentence}`)

const maskedNotify = (notify: Notify | null): Record<NotifyName, string> => ({
  BGTASK_NOTIFY_WEBHOOK: notify?.webhook ? maskedWebhook(notify.webhook.url) : '(none)',
  BGTASK_NOTIFY_SECRET: notify?.webhook ? '(set)' : '(none)',
  BGTASK_NOTIFY_ALLOW: notify?.webhook?.allow.join(',') || '(none)',
  BGTASK_NOTIFY_SMTP: notify?.mail ? maskUrl(notify.mail.smtp) : '(none)',
  BGTASK_NOTIFY_FROM: notify?.mail?.from ?? '(none)',
  BGTASK_NOTIFY_TO: notify?.mail?.to.join(',') ?? '(none)',
  BGTASK_NOTIFY_LANGUAGE: notify?.language ?? 'en',
  BGTASK_NOTIFY_QUIET: notify?.quiet ? `${notify.quiet.from}-${notify.quiet.to} ${notify.quiet.timeZone}` : '(none)',
  BGTASK_NOTIFY_ACTIONS: notify?.actions.join(',') || '(all)',
  BGTASK_NOTIFY_GATHER: String((notify?.gatherMs ?? 10_000) / 1000),
})

/** Whoever knows the path of an address like a chat's may write there. */
export const maskedWebhook = (url: string): string => `${new URL(url).origin}/****`

/** Names of what must reach no run in its environment, which all inherit that it starts. */
const neverHandedOn: readonly string[] = secretNames

const handedOn = (names: string[]): string[] => {
  const found = names.find(name => neverHandedOn.includes(name))
  if (found === undefined) return names
  throw new BgtaskError(
    'misconfigured',
    `BGTASK_CHILD_ENV names ${found}, which no run may have in its environment. Actions reach the database by ctx.db(); a database of your own has a name of its own.`,
  )
}

/** As secrets are given by systemd (LoadCredential) and to containers. */
const textOfFile = (name: string, env: NodeJS.ProcessEnv): string | undefined => {
  const path = env[name]
  if (!path) return undefined
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new BgtaskError('misconfigured', `${name} is ${JSON.stringify(path)}, which cannot be read (${messageOf(error)}).`, {
      cause: error,
    })
  }
}

let taken: string | undefined

/** From here on this process, and whoever is started by code in it, has the password no longer in its environment. */
const takenFrom = (env: NodeJS.ProcessEnv, password: string | undefined): string | undefined => {
  if (env !== process.env) return password
  delete process.env.BGTASK_ADMIN_PASSWORD
  taken = password ?? taken
  return taken
}

const readConfigFile = async (): Promise<Record<string, unknown>> => {
  const path = ['bgtask.config.ts', 'bgtask.config.js'].map(inWorkFolder).find(existsSync)
  if (!path) return {}
  try {
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown }
    if (typeof module.default !== 'object' || module.default === null) throw new Error('it has no default export that is an object')
    requireKnownKeys(module.default)
    return module.default as Record<string, unknown>
  } catch (error) {
    const why = messageOf(error)
    const line = lineOf(error, path)
    throw new BgtaskError(
      'misconfigured',
      `${path}${line === null ? '' : `, line ${line},`} cannot be used: ${why}${/[.?]$/.test(why) ? '' : '.'} Mend it, or move it away.`,
      {
        cause: error,
      },
    )
  }
}

// A misspelt name would be a setting that nobody obeys.
const requireKnownKeys = (given: object) => {
  for (const key of Object.keys(given)) {
    if ((configNames as readonly string[]).includes(key)) continue
    const [nearest] = nearestNames(key, configNames)
    throw new Error(
      `it sets ${key}, which is no setting${nearest ? `; did you mean ${nearest}?` : ` (there are ${configNames.join(', ')})`}`,
    )
  }
}

/** @param given one text with colons between, or a list */
const actionsFolders = (given: unknown): string[] => {
  const parts = Array.isArray(given) ? given.map(String) : String(given ?? '').split(delimiter)
  // It is handed on in an environment, and would be two there.
  const wrong = parts.find(part => part.includes(delimiter))
  if (wrong !== undefined) {
    throw new BgtaskError(
      'misconfigured',
      `BGTASK_ACTIONS has ${JSON.stringify(wrong)}; the path of an actions folder can have no ${delimiter} in it.`,
    )
  }
  const folders = parts.filter(Boolean).map(part => inWorkFolder(part))
  return folders.length > 0 ? [...new Set(folders)] : [inWorkFolder(join('app', 'actions'))]
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

/** @param name of whatever sets it @throws BgtaskError `misconfigured` */
export const checkPrefix = (name: string, given: string): string => {
  if (!/^(?:\/[\w~-][\w.~-]*)+$/.test(given) || given.length > 100)
    throw new BgtaskError(
      'misconfigured',
      `${name} is ${JSON.stringify(given)}; it must be like /admin or /ops/bgtask, without a slash at the end.`,
    )
  // What stands beside the panel has these.
  if (/^\/(?:api|cron|healthz|metrics)(?:\/|$)/.test(given))
    throw new BgtaskError('misconfigured', `${name} is ${given}, which is an address of the API, of cron or of a probe; take another one.`)
  return given
}

const folders = (name: string, given: string | undefined): string[] => {
  const all = listed(given)
  const wrong = all.find(folder => !folder.startsWith('/'))
  if (wrong === undefined) return all
  throw new BgtaskError(
    'misconfigured',
    `${name} has ${JSON.stringify(wrong)}; allowed are absolute paths below /sys/fs/cgroup, with commas between.`,
  )
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

/** What the kernel takes, less what a temporary name needs. */
export const longestSocketPath = 99

const permissions = (name: string, given: string | undefined, fallback: number) => {
  if (given === undefined) return fallback
  const mode = /^0?[0-7]{3}$/.test(given) ? Number.parseInt(given, 8) : 0
  // To connect is to write; without it the owner is locked out, too.
  if ((mode & 0o600) === 0o600) return mode
  throw new BgtaskError('misconfigured', `${name} is ${JSON.stringify(given)}; it must be octal from 0600 to 0777, like 0660 for a group.`)
}

/** The first is the default. */
const oneOf = <Word extends string>(name: string, given: string | undefined, words: readonly [Word, ...Word[]]): Word => {
  if (given === undefined) return words[0]
  const found = words.find(word => word === given)
  if (found !== undefined) return found
  throw new BgtaskError('misconfigured', `${name} is ${JSON.stringify(given)}; allowed are ${words.join(' and ')}.`)
}

const onOff = (name: string, given: string | undefined, fallback: boolean) => {
  if (given === undefined) return fallback
  if (/^(on|1|true|yes)$/i.test(given)) return true
  if (/^(off|0|false|no)$/i.test(given)) return false
  throw new BgtaskError('misconfigured', `${name} is ${JSON.stringify(given)}; allowed are on and off.`)
}
