import { type DestinationStream, type Logger, pino } from 'pino'

/**
 * The log of serve and supervise: one JSON line each on stdout, or a short line for people when stdout is a terminal.
 * BGTASK_LOG_LEVEL (default info) says from where on.
 */
export const openLog = (name: 'web' | 'supervisor', env: NodeJS.ProcessEnv = process.env): Logger =>
  pino(
    {
      name,
      level: levels.includes(env.BGTASK_LOG_LEVEL ?? '') ? env.BGTASK_LOG_LEVEL! : 'info',
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: secretPaths, censor: '****' },
      serializers: { err: safeError, error: safeError },
      formatters: { level: label => ({ level: label }) },
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map(one => (typeof one === 'string' ? withoutSecrets(one) : one)) as typeof args)
        },
      },
    },
    process.stdout.isTTY ? shortLines(process.stdout) : pino.destination({ fd: 1, sync: true }),
  )

/** A text without what is secret in it: passwords in addresses, and tokens in their parameters. */
export const withoutSecrets = (text: string): string =>
  text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):\S*@/gi, '$1:****@')
    .replace(/([?&](?:token|key|password|secret|_csrf)=)[^&\s"']+/gi, '$1****')
    .replace(/(\/(?:cron|setup)\/)[\w-]{16,}/gi, '$1****')
    .replace(/(bearer\s+)[\w.~+/-]+=*/gi, '$1****')

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

const secretNames = [
  'password',
  'passwordHash',
  'adminPassword',
  'token',
  'secret',
  'databaseUrl',
  'authorization',
  'cookie',
  '_csrf',
  'set-cookie',
]
const secretPaths = secretNames.flatMap(name => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`])

const safeError = (thrown: unknown) => {
  if (!(thrown instanceof Error)) return thrown
  const { code } = thrown as NodeJS.ErrnoException
  return {
    type: thrown.name,
    message: withoutSecrets(thrown.message),
    ...(code === undefined ? {} : { code }),
    ...(thrown.stack ? { stack: withoutSecrets(thrown.stack) } : {}),
  }
}

/** `09:31:07 warn  supervisor  message  key=value`, with the stack of an error below. */
const shortLines = (stream: NodeJS.WritableStream): DestinationStream => ({
  write(line) {
    const { level, time, pid: _pid, name, msg, err, error, ...more } = JSON.parse(line) as Record<string, unknown>
    const thrown = (err ?? error) as { message?: string; stack?: string } | undefined
    const rest = Object.entries(more).map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    const clock = new Date(String(time)).toTimeString().slice(0, 8)
    const head = [clock, String(level).padEnd(5), String(name), String(msg ?? thrown?.message ?? ''), ...rest].join('  ')
    stream.write(thrown?.stack ? `${head}\n${thrown.stack}\n` : `${head}\n`)
  },
})
