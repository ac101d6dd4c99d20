import * as crypto from 'node:crypto'
import { promisify } from 'node:util'
import { BgtaskError } from '../errors.ts'

/**
 * argon2id, 64 MiB, 3 passes, 1 lane, as a PHC string. At most two are computed at once in a process, since each takes 64 MiB, and not
 * many wait for their turn.
 * @throws BgtaskError `busy` when too many wait already
 */
export const hashPassword = (password: string): Promise<string> =>
  limited('known', () => makeHash(password, crypto.randomBytes(16), current))

/**
 * @param hash null when there is no such user: the same work is done, so that the time taken tells nothing
 * @param lane `known`: somebody of whom we know that they belong here; they do not wait behind a flood of others
 * @throws BgtaskError `busy` when too many wait already
 */
export const verifyPassword = async (password: string, hash: string | null, lane: Lane = 'known'): Promise<boolean> => {
  const read = parse(hash ?? unknownUser)
  const made = await limited(lane, () => makeHash(password, read.salt, read))
  return crypto.timingSafeEqual(parse(made).key, read.key) && hash !== null
}

/** Whether it was made at other costs than are asked now, so that it should be made anew. */
export const isOldHash = (hash: string): boolean => {
  const { name, costs } = parse(hash)
  return name !== current.name || costs.some((cost, index) => cost !== current.costs[index])
}

/** Who waits for their turn to be hashed, and how many may: the `known` go first. */
export type Lane = 'known' | 'anybody'
export const mostWaiting = { known: 20, anybody: 20 } as const satisfies Record<Lane, number>

interface Method {
  name: 'argon2id' | 'scrypt'
  /** argon2id: KiB, passes, lanes. scrypt: log2 N, r, p. */
  costs: readonly [number, number, number]
}

// crypto.argon2 came with Node 24.7.
const current: Method =
  typeof crypto.argon2 === 'function' ? { name: 'argon2id', costs: [65_536, 3, 1] } : { name: 'scrypt', costs: [17, 8, 1] }

const keyBytes = 32

const makeHash = async (password: string, salt: Buffer, { name, costs }: Method): Promise<string> => {
  const [a, b, c] = costs
  const message = Buffer.from(password.normalize('NFC'))
  if (name === 'argon2id') {
    const argon2 = promisify(crypto.argon2)
    const key = await argon2('argon2id', { message, nonce: salt, memory: a, passes: b, parallelism: c, tagLength: keyBytes })
    return `$argon2id$v=19$m=${a},t=${b},p=${c}$${bare(salt)}$${bare(key)}`
  }
  const scrypt = promisify<crypto.BinaryLike, crypto.BinaryLike, number, crypto.ScryptOptions, Buffer>(crypto.scrypt)
  const key = await scrypt(message, salt, keyBytes, { N: 2 ** a, r: b, p: c, maxmem: 256 * 2 ** a * b })
  return `$scrypt$ln=${a},r=${b},p=${c}$${bare(salt)}$${bare(key)}`
}

const parse = (hash: string): Method & { salt: Buffer; key: Buffer } => {
  const found = /^\$(argon2id|scrypt)\$(?:v=19\$)?\w+=(\d+),\w=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(hash)
  if (!found) throw new Error('a stored password hash is neither argon2id nor scrypt')
  const [, name, a, b, c, salt, key] = found
  return {
    name: name as Method['name'],
    costs: [Number(a), Number(b), Number(c)],
    salt: Buffer.from(salt!, 'base64'),
    key: Buffer.from(key!, 'base64'),
  }
}

const bare = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')

const unknownUser =
  current.name === 'argon2id'
    ? `$argon2id$v=19$m=65536,t=3,p=1$${bare(Buffer.alloc(16))}$${bare(Buffer.alloc(keyBytes))}`
    : `$scrypt$ln=17,r=8,p=1$${bare(Buffer.alloc(16))}$${bare(Buffer.alloc(keyBytes))}`

const waiting: Record<Lane, (() => void)[]> = { known: [], anybody: [] }
let free = 2

const limited = async <Result>(lane: Lane, work: () => Promise<Result>): Promise<Result> => {
  if (free > 0) free--
  else if (waiting[lane].length >= mostWaiting[lane])
    throw new BgtaskError('busy', 'Too many passwords are being looked at just now; try again in a few seconds.')
  else await new Promise<void>(resolve => waiting[lane].push(resolve))
  try {
    return await work()
  } finally {
    const next = waiting.known.shift() ?? waiting.anybody.shift()
    if (next) next()
    else free++
  }
}
