import { BgtaskError } from '../errors.ts'

/** No answer within the time limit; the connection was destroyed, and whether the statement took effect is not known. */
export class DatabaseTimeout extends Error {
  readonly code = 'BGTASK_DATABASE_TIMEOUT'
  constructor(limitMs: number, what: string) {
    super(
      `The database gave no ${what.replace(/^an? /, '')} within ${limitMs / 1000} s. See whether the server is alive and not overloaded.`,
    )
    this.name = 'DatabaseTimeout'
  }
}

/** The database cannot be used just now (lost, refused, timeout, read-only, busy, full): waiting may help, other data would not. */
export const isAway = (error: unknown): boolean =>
  (error instanceof BgtaskError && error.code === 'database-away') ||
  error instanceof DatabaseTimeout ||
  isLost(error) ||
  isContended(error) ||
  sqliteAway.has(sqliteCode(error)) ||
  serverAway.has(errnoOf(error)) ||
  unreachable.has(codeOf(error))

/** The connection broke: what was under way may have happened or not. */
export const isLost = (error: unknown): boolean =>
  lost.has(codeOf(error)) ||
  serverLost.has(errnoOf(error)) ||
  (error instanceof Error && /closed state|connection is closed/i.test(error.message))

/** Somebody else was in the way: the transaction was rolled back as a whole and may be tried again. */
export const isContended = (error: unknown): boolean => contended.has(errnoOf(error)) || sqliteCode(error) === 5 || sqliteCode(error) === 6

/** Another row has this value of a unique column already. */
export const isDuplicate = (error: unknown): boolean =>
  errnoOf(error) === 1062 || (error instanceof Error && 'errcode' in error && (error.errcode === 2067 || error.errcode === 1555))

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')
const errnoOf = (error: unknown): number => (error instanceof Error && 'errno' in error ? Number(error.errno) : 0)
// The low byte is the primary result code (sqlite.org/rescode.html).
const sqliteCode = (error: unknown): number =>
  codeOf(error) === 'ERR_SQLITE_ERROR' && 'errcode' in (error as object) ? Number((error as { errcode: number }).errcode) & 0xff : 0

const lost = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'ECONNRESET',
  'EPIPE',
  'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR',
  'PROTOCOL_ENQUEUE_AFTER_QUIT',
])
const unreachable = new Set([
  ...['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENOTFOUND', 'EAI_AGAIN', 'ENETDOWN', 'ECONNABORTED'],
  ...['PROTOCOL_SEQUENCE_TIMEOUT', 'HANDSHAKE_NO_SSL_SUPPORT'],
])
// Server shutting down, connection killed, gone away.
const serverLost = new Set([1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013])
// Deadlock, lock wait, record changed since last read, WSREP not ready, error during commit.
const contended = new Set([1213, 1205, 1020, 1047, 1180])
const serverAway = new Set([
  ...[1290, 1792, 1836], // read-only
  ...[1021, 1114, 1030, 1026, 3], // disk or table full, engine trouble
  ...[1040, 1203, 1129, 1130, 1041], // too many connections, host blocked
  ...[1044, 1045, 1049], // may no longer log in
  ...[1317, 1969, 3024, 1028], // ended by the server's time limit
])
// BUSY and LOCKED are contended; here READONLY, IOERR, FULL, CANTOPEN, PROTOCOL.
const sqliteAway = new Set([8, 10, 13, 14, 15])
