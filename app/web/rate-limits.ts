/**
 * How often one address may ask, by what it asks for: for `config: { rateLimit: rateLimits.login }` of a route. Of IPv6 the /64 counts as one
 * address, since whoever has one has all of it. Counted in this process, in `onRequest`, so also before a body is read or a token held
 * against its own; who is over it is told 429 with Retry-After. The growing delay after wrong passwords (login-wait.ts) stands behind these,
 * in the database. Pages of the application's controllers have no limit of ours.
 */
export const rateLimits = {
  /** Each visit without a session makes one. */
  loginPage: { max: 120, timeWindow: 60_000 },
  /** Each costs 64 MiB and a third of a second of a core. */
  login: { max: 30, timeWindow: 60_000 },
  /** The first administrator's link: 128 bit are not guessed, but looking them up costs a query. */
  setup: { max: 60, timeWindow: 60_000 },
  /** Whatever asks for the password of somebody who is signed in: password, second factor, asking again. */
  account: { max: 20, timeWindow: 60_000 },
  /** All requests with a token from one address, and all under /api. */
  api: { max: 1_200, timeWindow: 60_000 },
  /** Tokens that are none. Nobody guesses 256 bit; each try is a row of the audit. */
  badToken: { max: 30, timeWindow: 60_000 },
  /** Of one token, from wherever: a script that adds some tasks a second must not notice it. */
  token: { max: 600, timeWindow: 60_000 },
  /** Keys of cron that are none, or missing. The right one is not counted: once in ten seconds holds for all who have it. */
  cron: { max: 6, timeWindow: 60_000 },
} as const satisfies Record<string, RateLimit>

/** What @fastify/rate-limit is told once: only routes that name a limit have one, and so many addresses are remembered for each. */
export const rateLimiting = { global: false, ipv6Subnet: 64, cache: 10_000 } as const

export interface RateLimit {
  max: number
  /** Milliseconds. */
  timeWindow: number
}
