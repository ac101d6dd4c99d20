import { checkTokenWish, makeToken, revokeToken, type ShownToken, shownTokens } from '../api/tokens.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { asUsage } from './as-usage.ts'
import { commandLine } from './audited.ts'
import { parseDuration } from './duration.ts'
import { wholeNumber, withBackground } from './open.ts'
import { formatTime, formatTimeOrDash, note, print, printJson } from './print.ts'
import { formatTable } from './table.ts'

/** Only the token goes to stdout, so that `TOKEN=$(… token create …)` takes it. */
export const runTokenCreate = async (
  name: string,
  { scope, expires, json }: { scope: string[]; expires: string; json?: boolean },
): Promise<number> => {
  const lifeMs = expires === 'never' ? expires : parseDuration('--expires', expires, { least: '1m', most: '3650d', also: 'never' })
  asUsage(() => checkTokenWish({ name, scopes: severalOf(scope) }))
  return withBackground(async ({ db }) => {
    const { token, text } = await makeToken(db, commandLine(), { name, scopes: scope, lifeMs })
    if (json) printJson({ ...token, token: text })
    else {
      const until = token.expiresAt === null ? 'It does not expire.' : `It expires on ${formatTime(token.expiresAt)}.`
      note(`Token ${token.id} is made, for ${token.scopes.join(', ')}. ${until} Keep it now; it cannot be shown again:`)
      print(text)
    }
    return exitCodes.done
  })
}

export const runTokenList = async ({ json }: { json?: boolean }): Promise<number> =>
  withBackground(async ({ db }) => {
    const tokens = await shownTokens(db, { limit: 1_000 })
    if (json) printJson(tokens)
    else if (tokens.length === 0) print('There is no token yet; token create <name> --scope <scope> makes one.')
    else print(formatTable(columns, tokens))
    return exitCodes.done
  })

export const runTokenRevoke = async (given: string, { json }: { json?: boolean }): Promise<number> => {
  const id = wholeNumber('The id of the token', given, 1, Number.MAX_SAFE_INTEGER)
  return withBackground(async ({ db }) => {
    const token = await revokeToken(db, commandLine(), id).catch((error: unknown) => {
      // What was wanted is so already.
      if (error instanceof BgtaskError && error.code === 'busy') return error
      throw error
    })
    if (token instanceof BgtaskError) {
      if (json) printJson({ id, state: 'revoked' })
      else print(token.message)
      return exitCodes.done
    }
    if (json) printJson(token)
    else print(`Token ${id} (${token.name}) is revoked: it opens nothing any more.`)
    return exitCodes.done
  })
}

/** @throws BgtaskError `usage` for what looks like several in one */
const severalOf = (scopes: string[]): string[] => {
  const several = scopes.find(scope => /[,\s]/.test(scope.trim()))
  if (several === undefined) return scopes
  const parts = several.split(/[,\s]+/).filter(Boolean)
  throw new BgtaskError(
    'usage',
    `--scope is ${JSON.stringify(several)}; give it once for each: ${parts.map(one => `--scope ${one}`).join(' ')}`,
  )
}

const columns = [
  { title: 'id', value: (token: ShownToken) => String(token.id), right: true },
  { title: 'name', value: (token: ShownToken) => token.name },
  { title: 'state', value: (token: ShownToken) => token.state },
  { title: 'scopes', value: (token: ShownToken) => token.scopes.join(' '), flexible: true },
  { title: 'made by', value: (token: ShownToken) => token.createdBy },
  { title: 'expires', value: (token: ShownToken) => (token.expiresAt === null ? 'never' : formatTime(token.expiresAt)) },
  { title: 'last used', value: (token: ShownToken) => formatTimeOrDash(token.lastUsedAt) },
  { title: 'from', value: (token: ShownToken) => token.lastUsedIp ?? '-' },
]
