import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { BgtaskError } from '../errors.ts'
import type { Db } from '../store/database.ts'
import type { By } from '../store/lock-users.ts'
import { findToken, insertToken, listTokens, revokeToken as storeRevocation, type Token } from '../store/tokens.ts'
import { told } from '../task/told.ts'
import { type Actor, audited } from './audited.ts'
import { text } from './check-options.ts'
import { everyTask, parseScopes } from './scopes.ts'
import { showValue } from './show-value.ts'

const dayMs = 86_400_000
export const defaultTokenLifeMs = 90 * dayMs
const longestLifeMs = 3650 * dayMs

/** As people are told of it; the stored hash stays inside. */
export type ShownToken = Omit<Token, 'hash'> & { state: TokenState }
export type TokenState = 'active' | 'expired' | 'revoked'

export interface TokenWish {
  /** What it is for, 1 to 32 characters; several may have the same. */
  name: string
  /** Like `task:read`; see scopes.ts. */
  scopes: readonly string[]
  /** How long it lives; `never` has to be said. Default 90 days. */
  lifeMs?: number | 'never'
}

export interface MadeToken {
  token: ShownToken
  /** All of it, for whoever uses it: stored nowhere, so it cannot be shown again. */
  text: string
}

/**
 * Makes a token for a program.
 * @param by the administrator who asks; absent: the command line
 * @throws BgtaskError `refused`, in a sentence about the name, the scopes or the time
 * @throws NotAdmin
 */
export const makeToken = async (db: Db, actor: Actor, wish: TokenWish, by?: By): Promise<MadeToken> => {
  const { name, scopes } = checkTokenWish(wish)
  const createdAt = Date.now()
  const lifeMs = checkLife(wish.lifeMs ?? defaultTokenLifeMs)
  const expiresAt = lifeMs === 'never' ? null : createdAt + lifeMs
  const secret = randomBytes(32).toString('base64url')
  const until = expiresAt === null ? 'never expires' : `until ${new Date(expiresAt).toISOString()}`
  const detail = `${scopes.join(' ')}; ${until}`
  const id = await audited(db, actor, { act: 'token-made', subject: name, detail }, () =>
    insertToken(db, { name, hash: hashOf(secret).toString('hex'), scopes, createdBy: actor.name ?? actor.via, createdAt, expiresAt }, by),
  )
  const token = await findToken(db, id)
  if (!token) throw new BgtaskError('failed', told`Token ${id} was stored but is not there any more; make another one.`)
  return { token: shown(token, createdAt), text: `bgt_${id}_${secret}` }
}

/** @throws BgtaskError `refused` */
export const checkTokenWish = ({ name, scopes }: Pick<TokenWish, 'name' | 'scopes'>): { name: string; scopes: string[] } => ({
  name: checkName(name),
  scopes: parseScopes(scopes),
})

/**
 * It opens nothing from the next request on.
 * @param by the administrator who asks; absent: the command line
 * @throws BgtaskError `not-found`; `busy` when it was revoked before
 * @throws NotAdmin
 */
export const revokeToken = async (db: Db, actor: Actor, id: number, by?: By): Promise<ShownToken> => {
  const token = await findToken(db, id)
  if (!token) throw notFound(id)
  if (token.revokedAt !== null) throw alreadyRevoked(token)
  await audited(db, actor, { act: 'token-revoked', subject: tokenActor(token) }, async () => {
    if (!(await storeRevocation(db, id, actor.name ?? actor.via, Date.now(), by))) throw alreadyRevoked((await findToken(db, id)) ?? token)
  })
  const revoked = await findToken(db, id)
  if (!revoked) throw notFound(id)
  return shown(revoked, Date.now())
}

/** Newest first. */
export const shownTokens = async (db: Db, page: { limit: number; before?: number }): Promise<ShownToken[]> => {
  const now = Date.now()
  return (await listTokens(db, page)).map(token => shown(token, now))
}

export type CheckedToken = { token: Token; refused: null } | { token: null; refused: TokenRefusal; id: number | null }

/** `unknown`: no such id, or another secret. What its owner alone can know (expired, revoked) is told only for the right secret. */
export type TokenRefusal = 'malformed' | 'unknown' | 'expired' | 'revoked'

/** Whether a text is a token that opens something now. Takes equally long for a wrong secret and an id that does not exist. */
export const checkToken = async (db: Db, given: string, now: number): Promise<CheckedToken> => {
  const refuse = (refused: TokenRefusal, id: number | null): CheckedToken => ({ token: null, refused, id })
  const parts = tokenForm.exec(given)
  const id = Number(parts?.[1])
  if (!parts || !Number.isSafeInteger(id)) return refuse('malformed', null)
  const token = await findToken(db, id)
  const fits = timingSafeEqual(hashOf(parts[2]!), token ? Buffer.from(token.hash, 'hex') : nobodys)
  if (!token || !fits) return refuse('unknown', id)
  const state = stateOf(token, now)
  return state === 'active' ? { token, refused: null } : refuse(state, id)
}

/** Who acts, as pages and the audit name a token; at most 64 characters. */
export const tokenActor = ({ id, name }: Pick<Token, 'id' | 'name'>): string => (id === 0 ? name : `${name} (token ${id})`)

/** Stands in for a token where a program came by our Unix socket: whoever may open that may do all that is about tasks. Tokens count from 1. */
export const socketToken: Pick<Token, 'id' | 'name' | 'scopes'> = { id: 0, name: 'unix socket', scopes: [everyTask] }

const tokenForm = /^bgt_([1-9]\d{0,15})_([A-Za-z0-9_-]{43})$/

/** Stands in for the hash of a token that does not exist. Nothing that is 43 characters long has it. */
const nobodys = Buffer.alloc(32)

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()

const stateOf = ({ revokedAt, expiresAt }: Pick<Token, 'revokedAt' | 'expiresAt'>, now: number): TokenState => {
  if (revokedAt !== null) return 'revoked'
  return expiresAt !== null && expiresAt <= now ? 'expired' : 'active'
}

const shown = ({ hash: _hash, ...token }: Token, now: number): ShownToken => ({ ...token, state: stateOf(token, now) })

// 32, so that with its number it fits where names of users stand.
const checkName = (given: unknown): string => {
  const name = text('name', typeof given === 'string' ? given.trim() : given, 1, 32)
  if (!/\p{Cc}|\p{Cf}/u.test(name)) return name
  throw new BgtaskError('refused', told`The name is ${showValue(name)}; control characters and invisible ones are not allowed in it.`)
}

const checkLife = (given: unknown): number | 'never' => {
  if (given === 'never') return 'never'
  if (typeof given === 'number' && Number.isInteger(given) && given >= 60_000 && given <= longestLifeMs) return given
  throw new BgtaskError('refused', told`The token would live for ${showValue(given)} ms; allowed are 1 minute to 3650 days, and never.`)
}

const notFound = (id: number) => new BgtaskError('not-found', told`Token ${id} does not exist.`)

const alreadyRevoked = ({ id, revokedBy }: Pick<Token, 'id' | 'revokedBy'>) =>
  new BgtaskError('busy', told`Token ${id} was revoked before${revokedBy === null ? '' : told`, by ${revokedBy}`}; nothing is left to do.`)
