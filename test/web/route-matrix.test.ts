import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { Secret, TOTP } from 'otpauth'
import { makeToken } from '../../app/api/tokens.ts'
import { hold, releaseHold } from '../../app/runs/flags.ts'
import { hostId } from '../../app/runs/host-id.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { editTask } from '../../app/store/edit-task.ts'
import { findUser } from '../../app/store/users.ts'
import { EXEC_TYPE_FOREVER, type Json } from '../../app/task/task.ts'
import { makeLoginLink } from '../../app/web/first-link.ts'
import { type Role, routeRoles, tokenRoutes } from '../../app/web/roles.ts'
import { password } from '../helpers/browser.ts'
import {
  type Answer,
  type Asked,
  cookieOf,
  freshAddress,
  type ListeningPanel,
  listenPanel,
  type SignedIn,
  tokenIn,
} from '../helpers/listening-panel.ts'
import { newUser } from '../helpers/new-user.ts'
import { passTime } from '../helpers/pass-time.ts'
import { until } from '../helpers/scene.ts'

/*
 * Every route of the panel, asked by everybody in every way. What is expected stands in this table and follows from it by rules; the table of
 * app/web/roles.ts is held against it, so a role that changes there has to be changed here too. A route that is missing here fails.
 */

/** Status, and where one status has several reasons, the reason. */
type Expected =
  | number
  | '303 login'
  | '403 role'
  | '403 origin'
  | '403 csrf'
  | '403 proof'
  | '403 scope-missing'
  | '403 no-token-here'
  | '401 token-missing'
  | '401 token-refused'

interface Line {
  /** `token`: nobody comes in here but a program. */
  role: Role | 'public' | 'token'
  /** What the answer is when all guards are passed. */
  good: Expected
  /** A request that does what the route is for; made anew for each one that is meant to pass. Default: the route's address. */
  make?: (role: Role) => Promise<Partial<Asked>>
  /** Whether the good request changes something. Default: POST does, GET does not. */
  changes?: boolean
  /** Asks for the password again when it was given long ago. */
  fresh?: true
  /** The scope with which a token opens it too, what it then answers, and whether that changes something. */
  token?: { scope: string; good: number; changes: boolean }
  /** Answers that no rule tells. */
  but?: Partial<Record<string, Expected>>
  /** Undoes what the next request should not meet. @param acted whether one has passed all guards */
  undo?: (acted: boolean) => Promise<void>
}

let panel: ListeningPanel
const roles: Role[] = ['viewer', 'operator', 'admin']
const people = {} as Record<Role, SignedIn>
let expired: SignedIn
let revoked: SignedIn
const programs = {} as Record<'able' | 'other' | 'reader' | 'expired' | 'revoked', string>

/** The loop seems to run; afterwards it is gone, and what it was told with it. */
const whileItRuns: Pick<Line, 'make' | 'undo'> = {
  make: async () => {
    panel.standIn()
    // Stops are at least ten seconds apart.
    passTime(10_000)
    return {}
  },
  undo: async () => panel.standDown(),
}
const whenItIsDown: Pick<Line, 'make' | 'undo'> = {
  make: async () => {
    releaseHold(panel.runtime)
    passTime(10_000)
    return {}
  },
  undo: async acted => {
    if (acted) await until('the loop that was started is up', () => readSupervisor(panel.runtime), 60_000)
    await panel.endLoop()
    hold(panel.runtime, 'the test', Date.now())
  },
}
const onTask = (noun: string, made: () => Promise<number>): Record<string, Line> => ({
  [`POST /admin/core/bgtask/:id/${noun}`]: {
    role: 'operator',
    good: 303,
    make: async () => ({ url: `/admin/core/bgtask/${await made()}/${noun}` }),
  },
  ...(apiNouns.has(noun) && {
    [`POST /api/v1/tasks/:id/${noun}`]: {
      role: 'token',
      good: 200,
      token: { scope: 'task:control', good: 200, changes: true },
      make: async () => ({ url: `/api/v1/tasks/${await made()}/${noun}` }),
    },
  }),
})
const apiNouns = new Set(['start', 'stop', 'restart', 'cancellation', 'retry'])

/** No session and no form opens it or keeps it closed. */
const byKeyAlone: Line = {
  role: 'public',
  good: 403,
  changes: false,
  but: new Proxy({}, { get: (_, what) => (/^[A-Z]+$/.test(String(what)) ? 405 : String(what).startsWith('foreign Host') ? 421 : 403) }),
}

const noCronTask = async (): Promise<Partial<Asked>> => {
  panel.sql("DELETE FROM bg_task WHERE action = 'core/cron'")
  return {}
}

/** @returns id of an item that was set aside */
const itemAside = async (): Promise<number> => {
  panel.sql(
    "INSERT INTO bg_queue_item (queue, data, created_at, free_at, failures, error, aside_at) VALUES ('bad', '{}', 1, NULL, 10, 'it failed', 2)",
  )
  return Number(panel.sql('SELECT MAX(id) AS id FROM bg_queue_item')[0]!.id)
}

/** One change to another user, by an administrator. */
const onUser = (noun: string, fields: (hash: string) => Record<string, string> = () => ({})): Record<string, Line> => ({
  [`POST /admin/config/users/:id/${noun}`]: {
    role: 'admin',
    good: 303,
    fresh: true,
    make: async () => {
      const { id, session } = await newPerson('viewer')
      return { url: `/admin/config/users/${id}/${noun}`, body: fields(session.hash) }
    },
  },
})

/** One change to a schedule. */
const onSchedule = (noun: string, fields: Record<string, string> = {}): Record<string, Line> => ({
  [`POST /admin/config/schedules/:id${noun}`]: {
    role: 'operator',
    good: 303,
    make: async () => ({ url: `/admin/config/schedules/${await newSchedule(noun === '/resume')}${noun}`, body: fields }),
  },
})
const inScheduleForm = { action: 'test/ok', params: '{}', when: 'cron', cron: '0 4 * * *', time_zone: 'UTC' }

const lines: Record<string, Line> = {
  'GET /': { role: 'public', good: 303 },
  'GET /healthz': { role: 'public', good: 200 },
  'HEAD /healthz': { role: 'public', good: 200 },
  'GET /healthz/live': { role: 'public', good: 200 },
  'HEAD /healthz/live': { role: 'public', good: 200 },
  'GET /healthz/ready': { role: 'public', good: 200 },
  'HEAD /healthz/ready': { role: 'public', good: 200 },
  'GET /metrics': {
    role: 'viewer',
    good: 200,
    token: { scope: 'metrics:read', good: 200, changes: false },
    but: { 'no session': 401 },
  },
  'GET /admin/assets/:hash/:name': { role: 'public', good: 200, make: async () => ({ url: await stylesheet() }) },
  'GET /admin/login': { role: 'public', good: 303, but: { 'no session': 200, 'expired session': 200, 'revoked session': 200 } },
  'POST /admin/login': { role: 'public', good: 303, make: async role => ({ body: { name: role, password }, as: await visitor() }) },
  'GET /admin/login/second-factor': { role: 'public', good: 303 },
  // Without the first half of a login there is no second.
  'POST /admin/login/second-factor': {
    role: 'public',
    good: 303,
    changes: false,
    make: async () => ({ as: await visitor(), body: { code: '123456' } }),
  },
  'GET /admin/login/link': { role: 'public', good: 200 },
  'POST /admin/login/link': {
    role: 'public',
    good: 303,
    make: async role => ({ as: await visitor(), body: { token: await loginLink(role) } }),
  },
  'POST /admin/logout': { role: 'public', good: 303, make: async role => ({ as: await panel.signIn(role, { from: freshAddress() }) }) },
  // There are users already.
  'GET /admin/setup': { role: 'public', good: 410 },
  // It is told in the audit that somebody has tried.
  'POST /admin/setup': {
    role: 'public',
    good: 410,
    make: async () => ({ body: { token: 'guessed', name: 'intruder', password, repeated: password } }),
  },
  // It sets a cookie and no row.
  'POST /admin/preferences': { role: 'public', good: 303, changes: false, make: async () => ({ body: { theme: 'dark', next: '/admin' } }) },
  'POST /admin/prove': { role: 'viewer', good: 303, make: async () => ({ body: { proof_password: password, next: '/admin' } }) },
  'GET /admin': { role: 'viewer', good: 200, token: { scope: 'loop:restart', good: 409, changes: false } },
  'GET /admin/live': {
    role: 'viewer',
    good: 200,
    make: async () => ({ url: '/admin/live?page=/admin', headers: { 'sec-fetch-site': 'same-origin' } }),
    but: {
      'a look with foreign Origin': '403 origin',
      'a look from a page of another site': '403 origin',
      'a look from another port': '403 origin',
    },
  },
  'GET /admin/keys': { role: 'viewer', good: 200 },
  'GET /admin/account': { role: 'viewer', good: 200 },
  'POST /admin/account': {
    role: 'viewer',
    good: 303,
    make: async role => ({
      as: (await newPerson(role)).session,
      body: { current: password, password: `${password} again`, repeated: `${password} again` },
    }),
  },
  'POST /admin/account/session-end': {
    role: 'viewer',
    good: 303,
    make: async role => {
      const { session, name } = await newPerson(role)
      return { as: session, body: { session: (await panel.signIn(name, { from: freshAddress() })).hash } }
    },
  },
  'POST /admin/account/sessions-end': { role: 'viewer', good: 303, make: async role => ({ as: (await newPerson(role)).session }) },
  'GET /admin/account/second-factor': { role: 'viewer', good: 200, fresh: true },
  'POST /admin/account/second-factor': {
    role: 'viewer',
    good: 200,
    fresh: true,
    make: async role => {
      const { session } = await newPerson(role)
      return { as: session, body: { code: await secondFactorCode(session) } }
    },
  },
  'POST /admin/account/second-factor/recovery-codes': {
    role: 'viewer',
    good: 200,
    fresh: true,
    make: async role => {
      const { session } = await newPerson(role)
      await panel.ask({
        method: 'POST',
        url: '/admin/account/second-factor',
        as: session,
        body: { code: await secondFactorCode(session) },
        from: freshAddress(),
      })
      return { as: session }
    },
  },
  'POST /admin/account/second-factor/removal': { role: 'viewer', good: 303, make: async () => ({ body: { proof_password: password } }) },
  'GET /admin/config/users': { role: 'admin', good: 200 },
  'GET /admin/config/users/new': { role: 'admin', good: 200, fresh: true },
  'POST /admin/config/users': {
    role: 'admin',
    good: 303,
    fresh: true,
    make: async () => ({ body: { name: newName(), role: 'admin', password, repeated: password } }),
  },
  'GET /admin/config/users/:id': {
    role: 'admin',
    good: 200,
    make: async () => ({ url: `/admin/config/users/${(await newPerson('viewer')).id}` }),
  },
  ...onUser('role', () => ({ role: 'admin' })),
  ...onUser('password', () => ({ password: `${password} of another`, repeated: `${password} of another` })),
  ...onUser('session-end', hash => ({ session: hash })),
  ...onUser('sessions-end'),
  ...onUser('second-factor-reset'),
  ...onUser('removal'),
  'GET /admin/config/notifications': { role: 'admin', good: 200 },
  'POST /admin/config/notifications/test': { role: 'admin', good: 303, make: async () => ({ body: { channel: 'webhook' } }) },
  'GET /admin/config/tokens': { role: 'admin', good: 200 },
  'GET /admin/config/tokens/new': { role: 'admin', good: 200 },
  'POST /admin/config/tokens': {
    role: 'admin',
    good: 200,
    fresh: true,
    make: async () => ({ body: { name: 'matrix', scope: 'task:read', life: '1' } }),
  },
  'POST /admin/config/tokens/:id/revocation': {
    role: 'admin',
    good: 303,
    fresh: true,
    make: async () => ({ url: `/admin/config/tokens/${(await newToken(['task:read'])).id}/revocation` }),
  },
  'GET /admin/config/schedules': { role: 'viewer', good: 200 },
  'GET /admin/config/schedules/new': {
    role: 'operator',
    good: 200,
    make: async () => ({ url: '/admin/config/schedules/new?action=test/ok' }),
  },
  'POST /admin/config/schedules': { role: 'operator', good: 303, make: async () => ({ body: { ...inScheduleForm, name: newName() } }) },
  'POST /admin/config/schedules/preview': { role: 'operator', good: 200, changes: false, make: async () => ({ body: inScheduleForm }) },
  'GET /admin/config/schedules/:id': {
    role: 'operator',
    good: 200,
    make: async () => ({ url: `/admin/config/schedules/${await newSchedule()}` }),
  },
  ...onSchedule('', inScheduleForm),
  ...onSchedule('/pause'),
  ...onSchedule('/resume'),
  ...onSchedule('/run'),
  ...onSchedule('/removal'),
  'GET /admin/core/bgtask': { role: 'viewer', good: 200 },
  'GET /admin/core/bgtask/new': { role: 'operator', good: 200, make: async () => ({ url: '/admin/core/bgtask/new?action=test/ok' }) },
  'POST /admin/core/bgtask': { role: 'operator', good: 303, make: async () => ({ body: { action: 'test/ok', params: '{}' } }) },
  'GET /admin/core/bgtask/failed': { role: 'viewer', good: 200 },
  'GET /admin/core/bgtask/recovery': { role: 'operator', good: 200, make: async () => ({ url: '/admin/core/bgtask/recovery?do=retry' }) },
  'POST /admin/core/bgtask/recovery': { role: 'operator', good: 303, make: async () => ({ body: { do: 'retry', action: 'test/ok' } }) },
  'GET /admin/core/bgtask/bulk': { role: 'operator', good: 200, make: async () => ({ url: '/admin/core/bgtask/bulk?do=stop' }) },
  'POST /admin/core/bgtask/bulk': { role: 'operator', good: 303, make: async role => ({ body: await bulkForm(role) }) },
  'GET /admin/core/bgtask/bulk/:id': {
    role: 'viewer',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/bulk/${await bulkTask()}` }),
  },
  'POST /admin/core/bgtask/bulk/:id/undo': {
    role: 'operator',
    good: 303,
    make: async () => ({ url: `/admin/core/bgtask/bulk/${await bulkTask()}/undo` }),
  },
  'GET /admin/core/bgtask/debug': {
    role: 'operator',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/debug?id=${await waiting()}` }),
  },
  'POST /admin/core/bgtask/debug': {
    role: 'operator',
    good: 200,
    fresh: true,
    make: async () => ({ body: { id: String(await waiting()), limit_s: '10' } }),
  },
  'GET /admin/core/bgtask/restart': {
    role: 'operator',
    good: 200,
    ...whileItRuns,
    token: { scope: 'loop:restart', good: 202, changes: true },
  },
  'POST /admin/core/bgtask/restart': { role: 'operator', good: 303, ...whileItRuns },
  'POST /admin/core/bgtask/loop/start': { role: 'operator', good: 303, ...whenItIsDown },
  'POST /admin/core/bgtask/loop/stop': { role: 'operator', good: 303, ...whileItRuns },
  'POST /admin/core/bgtask/loop/hold': { role: 'operator', good: 303, ...whileItRuns },
  'POST /admin/core/bgtask/loop/reload': { role: 'operator', good: 303, ...whileItRuns },
  'GET /admin/core/bgtask/:id': { role: 'viewer', good: 200, make: async () => ({ url: `/admin/core/bgtask/${await waiting()}` }) },
  'GET /admin/core/bgtask/:id/output': {
    role: 'viewer',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/${await printed()}/output?run=1` }),
  },
  'GET /admin/core/bgtask/:id/lines': {
    role: 'viewer',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/${await ran()}/lines?q=line` }),
  },
  'GET /admin/core/bgtask/:id/artifacts/:number/:n': {
    role: 'viewer',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/${await declared()}/artifacts/1/1` }),
  },
  'GET /admin/core/bgtask/:id/runs/:number': {
    role: 'viewer',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/${await ran()}/runs/1` }),
  },
  'GET /admin/core/bgtask/:id/runs/:number/report': {
    role: 'viewer',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/${await ran()}/runs/1/report` }),
  },
  ...onTask('start', async () => loopThat('stopped', 'down')),
  ...onTask('stop', async () => loopThat('running', 'up')),
  ...onTask('restart', async () => loopThat('running', 'up')),
  ...onTask('run', async () => later()),
  ...onTask('cancellation', async () => waiting()),
  ...onTask('retry', async () => ended()),
  ...onTask('return', async () => cancelled()),
  'GET /admin/core/bgtask/:id/move': {
    role: 'operator',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/${await waiting()}/move` }),
  },
  'POST /admin/core/bgtask/:id/move': {
    role: 'operator',
    good: 303,
    make: async () => ({ url: `/admin/core/bgtask/${await waiting()}/move`, body: { when: 'in', delay: '5', delay_unit: 'minutes' } }),
  },
  'GET /admin/core/bgtask/:id/edit': {
    role: 'operator',
    good: 200,
    make: async () => ({ url: `/admin/core/bgtask/${await loopThat('running', 'up')}/edit` }),
  },
  'POST /admin/core/bgtask/:id/edit': {
    role: 'operator',
    good: 303,
    make: async () => ({ url: `/admin/core/bgtask/${await loopThat('running', 'up')}/edit`, body: { seen: '0.0', params: '{"x":1}' } }),
  },
  'POST /admin/core/bgtask/:id/edits/:n/reversal': {
    role: 'operator',
    good: 303,
    make: async () => ({ url: `/admin/core/bgtask/${await editedLoop()}/edits/1/reversal?seen=1.0` }),
  },
  ...onTask('clone', async () => ended()),
  ...onTask('deletion', async () => ended()),
  'POST /api/v1/tasks': {
    role: 'token',
    good: 201,
    token: { scope: 'task:add:test/ok', good: 201, changes: true },
    make: async () => ({ body: JSON.stringify({ action: 'test/ok', params: {} }), headers: { 'content-type': 'application/json' } }),
  },
  'GET /api/v1/openapi.json': { role: 'public', good: 200, token: { scope: 'any', good: 200, changes: false } },
  'GET /api/v1/tasks': { role: 'token', good: 200, token: { scope: 'task:read', good: 200, changes: false } },
  'GET /api/v1/failed': { role: 'token', good: 200, token: { scope: 'task:read', good: 200, changes: false } },
  'POST /api/v1/failed/retry': {
    role: 'token',
    good: 202,
    token: { scope: 'task:control', good: 202, changes: true },
    make: async () => ({ body: JSON.stringify({ action: 'test/ok' }), headers: { 'content-type': 'application/json' } }),
  },
  'POST /api/v1/failed/discard': {
    role: 'token',
    good: 202,
    token: { scope: 'task:control', good: 202, changes: true },
    make: async () => ({ body: JSON.stringify({ action: 'test/ok' }), headers: { 'content-type': 'application/json' } }),
  },
  'GET /api/v1/tasks/:id/runs': {
    role: 'token',
    good: 200,
    token: { scope: 'task:read', good: 200, changes: false },
    make: async () => ({ url: `/api/v1/tasks/${await waiting()}/runs` }),
  },
  'GET /api/v1/tasks/:id/wait': {
    role: 'token',
    good: 200,
    token: { scope: 'task:read', good: 200, changes: false },
    make: async () => ({ url: `/api/v1/tasks/${await ended()}/wait` }),
  },
  'GET /api/v1/tasks/:id/output': {
    role: 'token',
    good: 200,
    token: { scope: 'task:read', good: 200, changes: false },
    make: async () => ({ url: `/api/v1/tasks/${await printed()}/output?run=1` }),
  },
  'GET /api/v1/tasks/:id/artifacts': {
    role: 'token',
    good: 200,
    token: { scope: 'task:read', good: 200, changes: false },
    make: async () => ({ url: `/api/v1/tasks/${await declared()}/artifacts` }),
  },
  'GET /api/v1/tasks/:id/artifacts/:number/:n': {
    role: 'token',
    good: 200,
    token: { scope: 'task:read', good: 200, changes: false },
    make: async () => ({ url: `/api/v1/tasks/${await declared()}/artifacts/1/1` }),
  },
  'POST /api/v1/tasks/cancellation': {
    role: 'token',
    good: 200,
    token: { scope: 'task:control', good: 200, changes: true },
    make: async () => ({ body: JSON.stringify({ unique: await keyed() }), headers: { 'content-type': 'application/json' } }),
  },
  'POST /api/v1/tasks/:id/move': {
    role: 'token',
    good: 200,
    token: { scope: 'task:control', good: 200, changes: true },
    make: async () => ({ url: `/api/v1/tasks/${await waiting()}/move`, body: JSON.stringify({ delayMs: 60_000 }), headers: jsonType }),
  },
  'GET /api/v1/tasks/:id/edits': {
    role: 'token',
    good: 200,
    token: { scope: 'task:read', good: 200, changes: false },
    make: async () => ({ url: `/api/v1/tasks/${await editedLoop()}/edits` }),
  },
  'POST /api/v1/tasks/:id/edit': {
    role: 'token',
    good: 200,
    token: { scope: 'task:control', good: 200, changes: true },
    make: async () => ({ url: `/api/v1/tasks/${await editedLoop()}/edit`, body: JSON.stringify({ graceMs: 99 }), headers: jsonType }),
  },
  'POST /api/v1/tasks/:id/edits/:n/reversal': {
    role: 'token',
    good: 200,
    token: { scope: 'task:control', good: 200, changes: true },
    make: async () => ({ url: `/api/v1/tasks/${await editedLoop()}/edits/1/reversal` }),
  },
  'POST /api/v1/tasks/move': {
    role: 'token',
    good: 200,
    token: { scope: 'task:control', good: 200, changes: true },
    make: async () => ({ body: JSON.stringify({ unique: await keyed(), delayMs: 60_000 }), headers: jsonType }),
  },
  'GET /api/v1/schedules': { role: 'token', good: 200, token: { scope: 'schedule:read', good: 200, changes: false } },
  'GET /api/v1/schedules/:name': {
    role: 'token',
    good: 200,
    token: { scope: 'schedule:read', good: 200, changes: false },
    make: async () => ({ url: `/api/v1/schedules/${await namedSchedule()}` }),
  },
  'PUT /api/v1/schedules/:name': {
    role: 'token',
    good: 201,
    token: { scope: 'schedule:write', good: 201, changes: true },
    make: async () => ({
      url: `/api/v1/schedules/${newName()}`,
      body: JSON.stringify({ everyMs: 366 * 86_400_000, action: 'test/ok' }),
      headers: jsonType,
    }),
  },
  'DELETE /api/v1/schedules/:name': {
    role: 'token',
    good: 200,
    token: { scope: 'schedule:write', good: 200, changes: true },
    make: async () => ({ url: `/api/v1/schedules/${await namedSchedule()}` }),
  },
  'POST /api/v1/schedules/:name/pause': {
    role: 'token',
    good: 200,
    token: { scope: 'schedule:write', good: 200, changes: true },
    make: async () => ({ url: `/api/v1/schedules/${await namedSchedule()}/pause` }),
  },
  'POST /api/v1/schedules/:name/resume': {
    role: 'token',
    good: 200,
    token: { scope: 'schedule:write', good: 200, changes: true },
    make: async () => ({ url: `/api/v1/schedules/${await namedSchedule(true)}/resume` }),
  },
  'GET /api/v1/tasks/:id': {
    role: 'token',
    good: 200,
    token: { scope: 'task:read', good: 200, changes: false },
    make: async () => ({ url: `/api/v1/tasks/${await waiting()}` }),
  },
  'GET /admin/core/commands': { role: 'viewer', good: 200 },
  'GET /admin/core/commands/:name': { role: 'viewer', good: 200, make: async () => ({ url: '/admin/core/commands/deploy' }) },
  'POST /admin/core/commands/:name': {
    role: 'operator',
    good: 303,
    fresh: true,
    make: async role => {
      const url = '/admin/core/commands/deploy'
      const values = { 'args.environment': 'staging', 'args.revision': 'a1b2c3d' }
      const shown = await panel.ask({ method: 'POST', url, as: people[role], body: { step: 'show', ...values }, from: freshAddress() })
      return { url, body: { step: 'run', seen: /name="seen" value="(\w+)"/.exec(shown.body)?.[1] ?? '', ...values } }
    },
  },
  'GET /api/v1/commands': { role: 'token', good: 200, token: { scope: 'command:deploy', good: 200, changes: false } },
  'POST /api/v1/commands/:name': {
    role: 'token',
    good: 201,
    token: { scope: 'command:deploy', good: 201, changes: true },
    make: async () => ({
      url: '/api/v1/commands/deploy',
      body: JSON.stringify({ args: { environment: 'staging', revision: 'a1b2c3d' } }),
      headers: { 'content-type': 'application/json' },
    }),
  },
  'POST /api/v1/loop/restart': {
    role: 'token',
    good: 200,
    token: { scope: 'loop:restart', good: 200, changes: true },
    ...whenItIsDown,
  },
  // Without the key, whoever asks, and however: test/web/cron-address.test.ts asks with it.
  'GET /cron': byKeyAlone,
  'POST /cron': byKeyAlone,
  'GET /cron/*': { ...byKeyAlone, make: async () => ({ url: '/cron/' }) },
  'POST /cron/*': { ...byKeyAlone, make: async () => ({ url: '/cron/' }) },
  'GET /admin/config/system/cron': { role: 'viewer', good: 200 },
  'POST /admin/config/system/cron': { role: 'operator', good: 303, make: noCronTask },
  'POST /admin/config/system/cron/settings': { role: 'admin', good: 303, make: async () => ({ body: { every_ms: '0' } }) },
  'GET /admin/config/system/cron/queues/:name': {
    role: 'viewer',
    good: 200,
    make: async () => {
      await itemAside()
      return { url: '/admin/config/system/cron/queues/bad' }
    },
  },
  'POST /admin/config/system/cron/queues/:name/return': {
    role: 'operator',
    good: 303,
    make: async () => {
      await itemAside()
      return { url: '/admin/config/system/cron/queues/bad/return' }
    },
  },
  'POST /admin/config/system/cron/items/:id/return': {
    role: 'operator',
    good: 303,
    make: async () => ({ url: `/admin/config/system/cron/items/${await itemAside()}/return` }),
  },
  'POST /admin/config/system/cron/items/:id/discard': {
    role: 'operator',
    good: 303,
    make: async () => ({ url: `/admin/config/system/cron/items/${await itemAside()}/discard` }),
  },
  'GET /admin/reports/status/cron-key': { role: 'admin', good: 200, fresh: true },
  'POST /admin/reports/status/cron-key': { role: 'admin', good: 303, fresh: true },
  'POST /api/v1/cron/run': {
    role: 'token',
    good: 201,
    token: { scope: 'cron:run', good: 201, changes: true },
    make: noCronTask,
  },
  'GET /admin/reports/status': { role: 'viewer', good: 200 },
  'GET /admin/reports/audit': { role: 'admin', good: 200 },
  'GET /admin/reports/audit.csv': { role: 'admin', good: 200 },
  'GET /admin/reports/audit/chain': { role: 'admin', good: 200 },
  'GET /demo': { role: 'operator', good: 200 },
  'POST /demo/export': { role: 'operator', good: 422, changes: false, make: async () => ({ body: { rows: 'many' } }) },
  'GET /demo/deploy': { role: 'operator', good: 200 },
  'POST /demo/deploy': { role: 'operator', good: 422, changes: false, make: async () => ({ body: { environment: 'nowhere' } }) },
  'GET /demo/network': { role: 'operator', good: 200 },
  'POST /demo/network': {
    role: 'operator',
    good: 303,
    changes: false,
    make: async () => ({ body: { classroom: 'none', length_s: '20' } }),
  },
  'POST /demo/network/extension': { role: 'operator', good: 303, changes: false, make: async () => ({ body: { more_s: '1' } }) },
  'POST /demo/network/on': { role: 'operator', good: 303, changes: false },
  'POST /demo/heartbeat': { role: 'operator', good: 422, changes: false },
}

before(async () => {
  panel = await listenPanel({
    env: {
      BGTASK_NOTIFY_WEBHOOK: 'https://hooks.example.com/',
      BGTASK_NOTIFY_SECRET: `whsec_${Buffer.alloc(32).toString('base64')}`,
    },
  })
  // Visits of these tests must not start a loop.
  hold(panel.runtime, 'the test', Date.now())
  for (const role of roles) people[role] = await panel.signIn(role, { from: freshAddress() })
  expired = await panel.signIn('admin', { from: freshAddress() })
  panel.sql('UPDATE bg_session SET expires_at = ? WHERE id_hash = ?', Date.now() - 1, expired.hash)
  revoked = await panel.signIn('admin', { from: freshAddress() })
  panel.sql('DELETE FROM bg_session WHERE id_hash = ?', revoked.hash)
  const scopes = [
    'task:add:test/ok',
    'task:read',
    'task:control',
    'loop:restart',
    'command:deploy',
    'cron:run',
    'schedule:read',
    'schedule:write',
    'metrics:read',
  ]
  for (const kind of ['able', 'expired', 'revoked'] as const) programs[kind] = (await newToken(scopes)).text
  panel.sql('UPDATE bg_token SET expires_at = ? WHERE id = ?', Date.now() - 1, idOf(programs.expired))
  panel.sql('UPDATE bg_token SET revoked_at = ? WHERE id = ?', Date.now() - 1, idOf(programs.revoked))
  programs.other = (await newToken(['command:clear-cache'])).text
  programs.reader = (await newToken(['task:read'])).text
  for (const { cookie } of Object.values(people))
    assert.equal((await panel.ask({ url: '/admin/account', headers: { cookie } })).status, 200)
})

after(() => panel.close())

/** Of commands any one will do to see which there are. */
const withoutScope = (scope: string) => (scope.startsWith('command:') ? programs.reader! : programs.other!)

test('the table names every route, and no other', () => {
  const registered = panel.routes.map(({ name }) => name)
  assert.ok(registered.length > 35, `${registered.length} routes were found`)
  assert.deepEqual(
    registered.filter(name => !(name in lines)),
    [],
    'add a line for each of these to the table of this test',
  )
  assert.deepEqual(
    Object.keys(lines).filter(name => !registered.includes(name)),
    [],
    'these are gone',
  )
  assert.deepEqual(
    Object.keys(routeRoles).filter(name => !registered.includes(name)),
    [],
    'roles.ts names what is not there',
  )
})

test('each route has the role and the scope that this table says, and asks for the password again where it says so', () => {
  for (const { name, role, fresh } of panel.routes) {
    const line = lines[name]
    if (!line || name.includes('/demo')) continue
    assert.equal(role ?? routeRoles[name] ?? 'token', line.role, name)
    assert.equal(fresh, line.fresh ?? false, `fresh: ${name}`)
    assert.equal(tokenRoutes[name], line.token?.scope.replace(/^(task:add|command):.*/, '$1'), `scope: ${name}`)
  }
})

for (const [name, line] of Object.entries(lines)) {
  test(name, { timeout: 120_000 }, async t => {
    const [method = '', url = ''] = name.split(' ')
    const isChange = method !== 'GET' && method !== 'HEAD'
    const isApi = line.role === 'token'
    const mayRoles = isApi ? [] : roles.filter(role => line.role === 'public' || roles.indexOf(role) >= roles.indexOf(line.role as Role))
    const lowest = mayRoles[0] ?? 'admin'
    // Everything that would make it act, but for the one thing that is wrong: what is refused is refused for that alone.
    const plain: Partial<Asked> = isApi
      ? { method, url, headers: bearer(programs.able) }
      : { method, url, ...(isChange ? { body: {} } : {}), as: people[lowest] }
    const made = await line.make?.(lowest)
    const real = { ...plain, ...made, headers: { ...plain.headers, ...made?.headers } }
    const faults: string[] = []
    let count = 0
    const check = async (what: string, asked: Partial<Asked>, told: Expected, changes: boolean) => {
      // The answer to HEAD is without its words.
      const expected = method === 'HEAD' && typeof told === 'string' ? Number.parseInt(told, 10) : told
      const before = panel.snapshot()
      const answer = await panel.ask({ ...real, ...asked, headers: { ...real.headers, ...asked.headers }, from: freshAddress() } as Asked)
      const found = shown(answer, expected)
      if (found !== expected) faults.push(`${what}: ${found} and not ${expected}: ${textOf(answer.body)}`)
      if ((panel.snapshot() !== before) !== changes) faults.push(`${what}: ${changes ? 'nothing' : 'something'} has changed`)
      count++
    }
    const refused = (what: string, asked: Partial<Asked>, expected: Expected) => check(what, asked, line.but?.[what] ?? expected, false)

    // Who it is.
    const withoutSession: Expected = isApi
      ? '401 token-missing'
      : line.role !== 'public'
        ? isChange
          ? 401
          : '303 login'
        : isChange
          ? '403 csrf'
          : line.good
    const without: Record<string, string> = isApi ? { authorization: '' } : {}
    for (const [what, as] of [
      ['no session', null],
      ['expired session', expired],
      ['revoked session', revoked],
      ['a cookie that was tampered with', { ...people.admin, cookie: tampered(people.admin.cookie) }],
    ] as const) {
      await check(what, { as, headers: without }, line.but?.[what] ?? line.but?.['no session'] ?? withoutSession, false)
    }
    if (isApi) await refused('a person who is signed in', { as: people.admin, headers: { authorization: '' } }, '401 token-missing')
    for (const role of roles) if (!isApi && !mayRoles.includes(role)) await refused(role, { as: people[role] }, '403 role')

    // Programs. One that is refused leaves a row in the audit, and does nothing else.
    const unknown = `bgt_${idOf(programs.able)}_${'A'.repeat(43)}`
    for (const [what, text] of [
      ['a token that nobody made', unknown],
      ['an expired token', programs.expired],
      ['a revoked token', programs.revoked],
      ['what is no token', 'bgt_x'],
    ] as const) {
      await check(what, { as: null, headers: bearer(text) }, '401 token-refused', true)
    }
    if (line.token && line.token.scope !== 'any')
      await refused('a token without the scope', { as: null, headers: bearer(withoutScope(line.token.scope)) }, '403 scope-missing')
    else if (!line.token) await refused('a token, where none is taken', { as: null, headers: bearer(programs.able) }, '403 no-token-here')
    // A session lends a token nothing.
    if (!isApi && line.token?.scope !== 'any')
      await refused(
        'a token, and a session besides',
        { as: people.admin, headers: bearer(line.token ? programs.other : programs.able) },
        line.token ? '403 scope-missing' : '403 no-token-here',
      )

    // From where it comes.
    if (isChange && !isApi) {
      const csrf = real.as?.csrf ?? ''
      await refused('no CSRF token', { as: { ...real.as!, csrf: '' } }, '403 csrf')
      await refused('wrong token', { as: { ...real.as!, csrf: `${csrf.slice(0, -1)}${csrf.endsWith('A') ? 'B' : 'A'}` } }, '403 csrf')
      await refused('token of another session', { as: { ...real.as!, csrf: (await visitor()).csrf } }, '403 csrf')
      for (const [what, headers] of foreignChanges(panel.port)) await refused(what, { headers }, '403 origin')
    }
    if (isChange)
      await refused('a body of text/plain', { body: 'a=b', headers: { 'content-type': 'text/plain', origin: panel.origin } }, 415)
    for (const [what, headers] of isChange || isApi ? [] : foreignLooks) await refused(what, { headers }, line.good)
    for (const host of [`evil.example:${panel.port}`, '127.0.0.1:1', `127.0.0.1.evil.example:${panel.port}`, ''])
      await refused(`foreign Host ${host}`, { headers: { host } }, 421)
    for (const other of ['HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      if (!panel.routes.some(route => route.name === `${other} ${url}`)) await refused(other, { method: other }, 405)
    }
    if (line.fresh) {
      const session = real.as as SignedIn
      prove(session, Date.now() - 6 * 60_000)
      await refused('stale proof', {}, '403 proof')
      prove(session, Date.now())
    }
    await line.undo?.(false)

    // What the audit cannot tell is not done.
    const ways: [boolean, string, Partial<Asked>][] = [
      [mayRoles.length > 0 && (line.changes ?? isChange), 'by a person', { as: people[lowest] }],
      [line.token?.changes ?? false, 'by a program', { as: null, headers: bearer(programs.able) }],
    ]
    for (const [acts, who, asked] of ways) {
      if (!acts) continue
      const again = await line.make?.(lowest)
      panel.sql("CREATE TRIGGER no_audit BEFORE INSERT ON bg_audit BEGIN SELECT RAISE(ABORT, 'the secret reason'); END")
      const before = withoutTries(panel.snapshot())
      const headers = { ...real.headers, ...again?.headers, ...asked.headers }
      const answer = await panel.ask({ ...real, ...asked, ...again, headers, from: freshAddress() } as Asked)
      if (withoutTries(panel.snapshot()) !== before) faults.push(`without an audit, ${who}: something has changed`)
      if (answer.status !== 500 || /secret reason/.test(answer.body))
        faults.push(`without an audit, ${who}: ${answer.status}: ${textOf(answer.body)}`)
      panel.sql('DROP TRIGGER no_audit')
      await line.undo?.(false)
    }

    // And who may.
    for (const role of mayRoles) {
      const again = await line.make?.(role)
      await check(role, { as: people[role], ...again }, line.but?.[role] ?? line.good, line.changes ?? isChange)
      await line.undo?.(true)
    }
    if (line.token) {
      const again = await line.make?.('admin')
      await check(
        'a token with the scope',
        { as: null, ...again, headers: { ...again?.headers, ...bearer(programs.able) } },
        line.token.good as Expected,
        line.token.changes,
      )
      await line.undo?.(true)
    }
    assert.deepEqual(faults, [])
    t.diagnostic(`${count} requests`)
  })
}

/** Ways in which a form of somebody else's page arrives. */
const foreignChanges = (port: number): [string, Record<string, string>][] => [
  ['foreign Origin', { origin: 'http://evil.example' }],
  ['Origin null', { origin: 'null' }],
  ['no Origin', { origin: '' }],
  ['Origin of another port', { origin: `http://127.0.0.1:${port + 1}` }],
  ['Origin by TLS', { origin: `https://127.0.0.1:${port}` }],
  ['Sec-Fetch-Site cross-site', { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'cross-site' }],
  ['Sec-Fetch-Site same-site', { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'same-site' }],
  ['Sec-Fetch-Site none', { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'none' }],
]

/** Ways in which somebody else's page makes a browser look: it may, and nothing comes of it. */
const foreignLooks: [string, Record<string, string>][] = [
  ['a look with foreign Origin', { origin: 'http://evil.example' }],
  [
    'a look from a page of another site',
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-user': '?1' },
  ],
  [
    'a look from another port',
    { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-user': '?1' },
  ],
  [
    'a look ahead',
    { 'sec-purpose': 'prefetch;prerender', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
  ],
]

const shown = ({ status, headers, body }: Answer, expected: Expected): Expected | string => {
  if (status === 303 && typeof expected === 'string')
    return headers.location?.startsWith('/admin/login?next=') ? '303 login' : `303 ${headers.location}`
  const code = /^\{"error":\{"code":"([\w-]+)"/.exec(body)?.[1]
  if (code !== undefined && typeof expected === 'string') return `${status} ${code}`
  if (status !== 403) return status
  for (const [reason, text] of [
    ['role', /This needs the role/],
    ['origin', /came from another site/],
    ['csrf', /form was too old/],
    ['proof', /name="proof_password"/],
  ] as const) {
    if (text.test(body)) return `403 ${reason}`
  }
  return 403
}

/** A try at a password is counted, and a link is used up, before anything is done: so they are in any case. */
const withoutTries = (snapshot: string): string =>
  JSON.stringify(JSON.parse(snapshot), (_, value) => (Array.isArray(value) && triesIn.has(value[0]) ? null : value))
const triesIn = new Set<unknown>(['bg_login_failure', 'bg_once_link'])

const textOf = (html: string) =>
  html
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .slice(0, 300)

/** Somebody who is not signed in and has a form. */
const visitor = async (): Promise<SignedIn> => {
  const form = await panel.ask({ url: '/admin/login', from: freshAddress() })
  return { cookie: cookieOf(form), csrf: tokenIn(form.body), hash: '' }
}

const newName = () => `person-${randomBytes(4).toString('hex')}`

const newPerson = async (role: Role): Promise<{ id: number; name: string; session: SignedIn }> => {
  const name = newName()
  const { id } = await newUser(panel.background.db, { name, role })
  return { id, name, session: await panel.signIn(name, { from: freshAddress() }) }
}

const newToken = async (scopes: string[]) => {
  const { token, text } = await makeToken(
    panel.background.db,
    { name: 'the test', ip: null, via: 'command-line' },
    { name: 'matrix', scopes },
  )
  return { id: token.id, text }
}
const idOf = (token: string) => Number(token.split('_')[1])
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const loginLink = async (role: Role): Promise<string> => {
  const user = await findUser(panel.background.db, role)
  return (await makeLoginLink(panel.background.db, user!)).split('#')[1]!
}

/** When the person of this session last gave the password. */
const prove = ({ hash }: Pick<SignedIn, 'hash'>, at: number) => {
  const [row] = panel.sql('SELECT data FROM bg_session WHERE id_hash = ?', hash)
  const data = { ...JSON.parse(String(row!.data)), provedAt: at }
  panel.sql('UPDATE bg_session SET data = ? WHERE id_hash = ?', JSON.stringify(data), hash)
}

/** Asks for a second factor and gives the code that its app would show. */
const secondFactorCode = async (session: SignedIn): Promise<string> => {
  await panel.ask({ url: '/admin/account/second-factor', as: session, from: freshAddress() })
  const [row] = panel.sql('SELECT data FROM bg_session WHERE id_hash = ?', session.hash)
  return new TOTP({ secret: Secret.fromBase32(JSON.parse(String(row!.data)).newTotpSecret) }).generate()
}

/** Of the id that the cookie carries the first letter is another. */
const tampered = (cookie: string) =>
  cookie.replace(/(^|; )(bgtask-[^=]+)=(.)/, (_, before, name, first) => `${before}${name}=${first === 'A' ? 'B' : 'A'}`)

const stylesheet = async () =>
  /href="(\/admin\/assets\/[^"]+\.css)"/.exec((await panel.ask({ url: '/admin/login', from: freshAddress() })).body)![1]!

const add = async (action: string, options: Record<string, Json> = {}): Promise<number> =>
  (await panel.background.addTask(action, {}, options)).id
/** Due in a year, so that only the test makes something of it. */
const scheduleThat = async (paused: boolean) => {
  const schedule = await panel.background.addSchedule(newName(), { everyMs: 366 * 86_400_000, action: 'test/ok' })
  if (paused) panel.sql("UPDATE bg_schedule SET wanted = 'down', next_at = NULL WHERE id = ?", schedule.id)
  return schedule
}
const newSchedule = async (paused = false): Promise<number> => (await scheduleThat(paused)).id
const namedSchedule = async (paused = false): Promise<string> => (await scheduleThat(paused)).name
const jsonType = { 'content-type': 'application/json' }
const waiting = () => add('test/ok')
const keyed = async () => {
  const unique = newName()
  await add('test/ok', { unique })
  return unique
}
const later = () => add('test/ok', { delayMs: 3_600_000 })
const ended = async () => {
  const id = await add('test/ok')
  panel.sql("UPDATE bg_task SET state = 'succeeded', finished_at = ?, due = NULL WHERE id = ?", Date.now(), id)
  return id
}
const cancelled = async () => {
  const id = await later()
  await panel.background.cancelTask(id)
  return id
}
const loopThat = async (state: string, wanted: string) => {
  const id = await add('test/forever', { execType: EXEC_TYPE_FOREVER })
  panel.sql('UPDATE bg_task SET state = ?, wanted = ? WHERE id = ?', state, wanted, id)
  return id
}
/** What the page that is agreed to carries. */
const bulkForm = async (role: Role): Promise<Record<string, string>> => {
  await waiting()
  const page = await panel.ask({ url: '/admin/core/bgtask/bulk?do=cancellation&state=waiting', as: people[role], from: freshAddress() })
  const fields = [...page.body.matchAll(/name="(do|state|preview|signature)" value="([^"]*)"/g)]
  return Object.fromEntries(fields.map(([, name, value]) => [name!, value!]))
}
/** One that has cancelled a task. */
const bulkTask = async () => {
  const task = await panel.background.addTask('core/bulk')
  panel.sql("UPDATE bg_task SET state = 'succeeded', finished_at = ?, due = NULL WHERE id = ?", Date.now(), task.id)
  panel.sql(
    "INSERT INTO bg_bulk (task_id, act, filter, up_to, expected, is_all, asked_at, asked_by) VALUES (?, 'cancellation', '{}', 1, 1, 1, ?, 'kim')",
    ...[task.id, Date.now()],
  )
  panel.sql('INSERT INTO bg_bulk_item (bulk_id, task_id) VALUES (?, 1)', task.id)
  return task.id
}
const editedLoop = async () => {
  const id = await loopThat('running', 'up')
  const terms = (graceMs: number) => ({ params: {}, priority: 0, maxAttempts: 1, timeoutMs: null, graceMs, rerunAfterCrash: true })
  const after = { after: terms(77), effect: 'next', by: 'kim', via: 'form', revertOf: null, touched: [] } as const
  assert.equal((await editTask(panel.background.db, { id, edits: 0, superseded: 0 }, after, Date.now())).done, 'edited')
  return id
}
const declared = async () => {
  const id = await ended()
  const path = join(panel.runtime, 'exports', 'made.txt')
  mkdirSync(dirname(path), { recursive: true })
  if (!existsSync(path)) writeFileSync(path, 'a line\n')
  const { dev, ino, birthtimeNs } = statSync(path, { bigint: true })
  const now = Date.now()
  panel.sql('UPDATE bg_task SET number = 1 WHERE id = ?', id)
  panel.sql(
    "INSERT INTO bg_run (task_id, number, host, epoch, started_at, ended_at, outcome) VALUES (?, 1, ?, '', ?, ?, 'succeeded')",
    ...[id, hostId(panel.runtime), now, now],
  )
  panel.sql(
    "INSERT INTO bg_artifact (task_id, number, n, name, path, size_bytes, declared_at, device, inode, born_ns) VALUES (?, 1, 1, 'made.txt', ?, 7, ?, ?, ?, ?)",
    ...[id, path, now, String(dev), String(ino), String(birthtimeNs)],
  )
  return id
}
const ran = async () => {
  const id = await printed()
  panel.sql('UPDATE bg_task SET number = 1 WHERE id = ?', id)
  panel.sql("INSERT INTO bg_run (task_id, number, host, epoch, started_at) VALUES (?, 1, ?, '', 1)", id, hostId(panel.runtime))
  return id
}
const printed = async () => {
  const id = await ended()
  const paths = runtimePaths(panel.runtime).run(`${id}-1`)
  mkdirSync(paths.folder, { recursive: true })
  writeFileSync(paths.output, 'a line\n')
  return id
}
