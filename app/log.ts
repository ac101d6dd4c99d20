import { type DestinationStream, type Logger, pino } from 'pino'
import { marker } from './secrets/redactor.ts'
import { isSecretName } from './secrets/secret-name.ts'
import { hideUrlPasswords } from './secrets/url-passwords.ts'
import { harmless, oneLine } from './texts/control-characters.ts'

/**
 * The log of serve and supervise: one JSON line each on stdout, or a short line for people when stdout is a terminal.
 * BGTASK_LOG_LEVEL (default info) says from where on.
 * @param hide takes known secrets out of each line, wherever in it they stand
 */
export const openLog = (
  name: 'web' | 'supervisor',
  env: NodeJS.ProcessEnv = process.env,
  hide: (line: string) => string = line => line,
): Logger => {
  const destination = process.stdout.isTTY ? shortLines(process.stdout) : pino.destination({ fd: 1, sync: true })
  return pino(
    {
      name,
      level: levels.includes(env.BGTASK_LOG_LEVEL ?? '') ? env.BGTASK_LOG_LEVEL! : 'info',
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: safeError, error: safeError },
      formatters: { level: label => ({ level: label }), log: fields => withoutSecretFields(fields, 0) as Record<string, unknown> },
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map(one => (typeof one === 'string' ? withoutSecrets(one) : one)) as typeof args)
        },
      },
    },
    { write: line => void destination.write(hide(line)) },
  )
}

/** A text without what is secret in it: passwords in addresses, and tokens in their parameters. */
export const withoutSecrets = (text: string): string =>
  hideUrlPasswords(text, () => '****', 'word')
    .replace(/([?&](?:token|key|password|secret|_csrf)=)[^&\s"']+/gi, '$1****')
    .replace(/(\/(?:cron\/|setup#|login\/link#))[\w-]{16,}/gi, '$1****')
    .replace(/(bearer\s+)[\w.~+/-]+=*/gi, '$1****')

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** Further down nobody looks, in a log line or for a secret. */
const deepest = 8

/** What stands under the name of a secret is left out. Only plain data is looked into: errors are the serializers' matter. */
const withoutSecretFields = (value: unknown, depth: number): unknown => {
  if (typeof value === 'string') return withoutSecrets(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth > deepest) return '[…]'
  if (Array.isArray(value)) return value.map(item => withoutSecretFields(item, depth + 1))
  const prototype = Object.getPrototypeOf(value) as object | null
  if (prototype !== null && prototype !== Object.prototype) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      isSecretName(key) && inner !== null && typeof inner !== 'boolean' ? marker : withoutSecretFields(inner, depth + 1),
    ]),
  )
}

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
    const head = oneLine([clock, String(level).padEnd(5), String(name), String(msg ?? thrown?.message ?? ''), ...rest].join('  '))
    stream.write(thrown?.stack ? `${head}\n${harmless(thrown.stack)}\n` : `${head}\n`)
  },
})
