import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { join, sep } from 'node:path'
import fc from 'fast-check'
import { checkJson } from '../../app/api/check-json.ts'
import { checkTask } from '../../app/api/check-task.ts'
import { makeToken } from '../../app/api/tokens.ts'
import { BgtaskError } from '../../app/errors.ts'
import { hold } from '../../app/runs/flags.ts'
import type { Json } from '../../app/task/task.ts'
import { ansiToHtml, freshAnsi } from '../../app/web/ansi.ts'
import { nextPath } from '../../app/web/next-path.ts'
import { fieldsFromParams, paramsFields, readParams } from '../../app/web/params-form.ts'
import { hostileJson, hostileOutput, hostileText, onTheWire } from './hostile.ts'
import { type Answer, freshAddress, type ListeningPanel, type SignedIn } from './listening-panel.ts'
import { readStyled } from './styled-text.ts'

/** What is thrown at the panel, and what must hold whatever it is. */
export interface Fuzzed {
  name: string
  /** How many inputs, in `npm test` and in the long run of scripts/fuzz.ts. */
  runs: { short: number; long: number }
  property: fc.IRawProperty<unknown>
}

/** @param panel its loop is put on hold, so that visits start nothing */
export const fuzzed = async (panel: ListeningPanel): Promise<Fuzzed[]> => {
  hold(panel.runtime, 'the fuzz', Date.now())
  const admin = await keptSession(panel)
  return [...pure(), ...(await names(panel)), ...overHttp(panel, admin), ...byPrograms(panel)]
}

/** The same seed gives the same inputs. @throws with the seed, the input and what did not hold */
export const runFuzz = async ({ property }: Fuzzed, { seed, runs }: { seed: number; runs: number }): Promise<void> => {
  const before = prototypes()
  await fc.assert(property as fc.IAsyncProperty<unknown>, { seed, numRuns: runs, verbose: 0 })
  assert.deepEqual(prototypes(), before, 'a prototype has changed')
}

const pure = (): Fuzzed[] => [
  {
    name: 'output as HTML: no tag, class or character but those on the list',
    runs: { short: 50_000, long: 1_000_000 },
    property: fc.property(hostileOutput, text => {
      readStyled(ansiToHtml(text))
    }),
  },
  {
    name: 'output in pieces reads like the whole',
    runs: { short: 10_000, long: 300_000 },
    property: fc.property(hostileOutput, fc.array(fc.nat(), { minLength: 1, maxLength: 6 }), (text, cuts) => {
      const places = [...new Set(cuts.map(cut => cut % (text.length + 1)))].sort((a, b) => a - b)
      const state = freshAnsi()
      const pieces = [0, ...places].map((from, index) => ansiToHtml(text.slice(from, places[index]), state))
      assert.deepEqual(readStyled(pieces.join('')), readStyled(ansiToHtml(text)))
    }),
  },
  {
    name: 'next=: nobody is sent to another site, nor to what is no page',
    runs: { short: 10_000, long: 500_000 },
    property: fc.property(
      fc.oneof(
        hostileText,
        hostileText.map(text => `/admin${text}`),
        hostileText.map(text => `/${text}`),
      ),
      text => {
        const path = nextPath(text, '/admin')
        const url = new URL(path, 'http://127.0.0.1:8080')
        assert.equal(url.origin, 'http://127.0.0.1:8080')
        assert.match(url.pathname, /^\/admin(\/|$)/)
        assert.doesNotMatch(path, /[\r\n<>"'\\]/)
      },
    ),
  },
  {
    name: 'params given as values: a plain copy, or refused',
    runs: { short: 5_000, long: 300_000 },
    property: fc.property(anyValue, value => {
      const copy = refusedOr(() => checkJson(value, 'params'))
      if (copy === undefined) return
      assert.deepEqual(copy, JSON.parse(JSON.stringify(copy)), 'JSON holds it as it is')
      assertPlain(copy)
    }),
  },
  {
    name: 'params given as a form: what JSON can hold, or refused',
    runs: { short: 5_000, long: 300_000 },
    property: fc.property(
      fc.constantFrom(...schemas),
      fc.dictionary(fieldName, fc.oneof(hostileText, hostileJson), { maxKeys: 8, noNullPrototype: false }),
      (schema, form) => {
        const read = refusedOr(() => readParams(schema, form))
        if (read === undefined) return
        const checked = refusedOr(() => checkJson(read, 'params'))
        if (checked === undefined) return
        assertPlain(checked)
        // And the form that a task with these params is shown in.
        paramsFields(schema, fieldsFromParams(checked))
      },
    ),
  },
]

const names = async (panel: ListeningPanel): Promise<Fuzzed[]> => {
  const catalog = await panel.background.catalog()
  const real = catalog.entries.map(({ name }) => name)
  const named = fc.oneof(
    hostileText,
    fc.tuple(fc.constantFrom(...real), hostileText).map(([name, more]) => `${name}${more}`),
    fc.tuple(hostileText, fc.constantFrom(...real)).map(([more, name]) => `${more}${name}`),
    fc.constantFrom(...real),
    fc
      .tuple(fc.constantFrom(...real), fc.nat())
      .map(([name, at]) => `${name.slice(0, at % name.length)}/../${name.slice(at % name.length)}`),
  )
  const folders = [...panel.config.actions, join(import.meta.dirname, '..', '..', 'app', 'core')]
  return [
    {
      name: 'names of actions: one of the map, or refused',
      runs: { short: 5_000, long: 300_000 },
      property: fc.property(named, name => {
        const entry = catalog.get(name)
        if (!real.includes(name)) return assert.equal(entry, undefined)
        assert.equal(entry!.name, name)
        assert.ok(folders.some(folder => entry!.file.startsWith(`${folder}${sep}`)) || !entry!.file.startsWith(sep), entry!.file)
        assert.doesNotMatch(entry!.file, /\.\./)
      }),
    },
    {
      name: 'tasks: checked, or refused with a sentence',
      runs: { short: 1_000, long: 30_000 },
      property: fc.asyncProperty(named, hostileJson, async (name, json) => {
        const params = parsed(json)
        try {
          const { task } = await checkTask(catalog, name, params, {}, { now: Date.now() })
          assert.ok(real.includes(task.action))
          assertPlain(task.params as Json)
        } catch (error) {
          if (!(error instanceof BgtaskError)) throw error
          assert.equal(error.code, 'refused')
        }
      }),
    },
  ]
}

const overHttp = (panel: ListeningPanel, admin: KeptSession): Fuzzed[] => {
  const pages = panel.routes.filter(({ method, url }) => method === 'GET' && !endless.has(url)).map(({ url }) => url)
  const forms = panel.routes
    .filter(({ method, name }) => method === 'POST' && !leftAlone.some(pattern => pattern.test(name)))
    .map(({ url }) => url)
  assert.ok(pages.length > 10 && forms.length > 10, `${pages.length} pages and ${forms.length} forms`)
  const segment = onTheWire(fc.oneof(hostileText, fc.integer({ min: -2, max: 12 }).map(String)))
  const address = (urls: string[]) =>
    fc.tuple(fc.constantFrom(...urls), fc.array(segment, { minLength: 4, maxLength: 4 })).map(([url, given]) => filled(url, given))
  const query = fc
    .array(
      fc.tuple(
        onTheWire(fc.oneof(fc.constantFrom(...queryNames), hostileText)),
        fc.constantFrom('=', '', '[]=', '[a]=', '.b='),
        onTheWire(fc.oneof(hostileText, hostileJson)),
      ),
      { maxLength: 6 },
    )
    .map(parts =>
      parts
        .map(words => words.join(''))
        .join('&')
        .slice(0, 6_000),
    )
  return [
    {
      name: 'queries and ids of all pages',
      runs: { short: 1_500, long: 60_000 },
      property: fc.asyncProperty(address(pages), query, async (url, search) => {
        const asked = search === '' ? url : `${url}?${search}`
        harmless(await panel.ask({ url: asked, as: await admin(), from: freshAddress() }), panel)
      }),
    },
    {
      name: 'next= of the login page and of the settings',
      runs: { short: 300, long: 10_000 },
      property: fc.asyncProperty(onTheWire(hostileText), hostileText, async (encoded, text) => {
        const as = await admin()
        for (const answer of [
          await panel.ask({ url: `/admin/login?next=${encoded}`, from: freshAddress() }),
          await panel.ask({ url: `/admin/login?next=${encoded}`, as, from: freshAddress() }),
          await panel.ask({
            method: 'POST',
            url: '/admin/preferences',
            as,
            body: { next: text.toWellFormed(), theme: 'dark' },
            from: freshAddress(),
          }),
        ]) {
          harmless(answer, panel)
        }
      }),
    },
    {
      name: 'fields of all forms',
      runs: { short: 1_000, long: 40_000 },
      property: fc.asyncProperty(
        address(forms),
        fc.dictionary(fieldName, fc.oneof(hostileText, hostileJson), { maxKeys: 8 }),
        async (url, given) => {
          const body = Object.fromEntries(Object.entries(given).map(([name, value]) => [name.toWellFormed(), value.toWellFormed()]))
          delete body._csrf
          harmless(await panel.ask({ method: 'POST', url, as: await admin(), body, from: freshAddress() }), panel)
        },
      ),
    },
    {
      name: 'bodies of forms as they come',
      runs: { short: 300, long: 10_000 },
      property: fc.asyncProperty(
        address(forms),
        fc.constantFrom(
          'application/x-www-form-urlencoded',
          'application/json',
          'text/plain',
          'multipart/form-data; boundary=x',
          'application/x-www-form-urlencoded; charset=utf-16',
          '',
          '\u00e9/x',
        ),
        fc.oneof(
          hostileJson,
          fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes).toString('latin1')),
          query,
        ),
        async (url, type, body) => {
          const as = await admin()
          const headers = { 'content-type': type, origin: panel.origin, 'x-csrf-token': as.csrf }
          harmless(await panel.ask({ method: 'POST', url, as, body: Buffer.from(body, 'latin1'), headers, from: freshAddress() }), panel)
        },
      ),
    },
    {
      name: 'request lines and headers on the wire: our Host, or no answer but a refusal',
      runs: { short: 1_000, long: 40_000 },
      property: fc.asyncProperty(
        requestLine(address(pages)),
        fc.array(header(panel), { maxLength: 8 }),
        fc.constantFrom(0, 1, 1, 1, 1, 2),
        async (line, headers, hosts) => {
          const own = Array.from({ length: hosts }, () => `Host: 127.0.0.1:${panel.port}`)
          const lines = [...own, `Cookie: ${(await admin()).cookie}`, 'Connection: close', ...headers]
          const statuses = await statusesOf(panel, `${line}\r\n${lines.join('\r\n')}\r\n\r\n`)
          for (const status of statuses) assert.ok(status < 500, `${status}`)
          // Node says "100 Continue" by itself, before anybody has looked.
          const decided = statuses.filter(status => status !== 100)
          const said = lines.flatMap(text =>
            /^host[ \t]*:/i.test(text)
              ? [
                  text
                    .slice(text.indexOf(':') + 1)
                    .trim()
                    .toLowerCase(),
                ]
              : [],
          )
          const ours = said.length === 1 && [`127.0.0.1:${panel.port}`, `localhost:${panel.port}`, `[::1]:${panel.port}`].includes(said[0]!)
          if (!ours) for (const status of decided) assert.ok(status >= 400, `Host ${JSON.stringify(said)} was answered with ${status}`)
        },
      ),
    },
  ]
}

/** Programs with a token that may add any task of the tests, and act on it. */
const byPrograms = (panel: ListeningPanel): Fuzzed[] => {
  const routes = panel.routes.filter(
    ({ name, url }) => url.startsWith('/api/v1/') && !leftAloneByPrograms.some(pattern => pattern.test(name)),
  )
  assert.ok(routes.length > 20, `${routes.length} routes`)
  let uses = 0
  let text = ''
  const token = async () => {
    // A token may ask so often in a minute, and here that is not asked.
    if (uses++ % 400 === 0) {
      const scopes = ['task:add:test/*', 'task:read', 'task:control', 'schedule:read', 'schedule:write', 'command:deploy', 'cron:run']
      const wish = { name: 'fuzz', scopes }
      text = (await makeToken(panel.background.db, { name: 'the fuzz', ip: null, via: 'command-line' }, wish)).text
    }
    return text
  }
  const segment = onTheWire(fc.oneof(hostileText, fc.integer({ min: -2, max: 12 }).map(String)))
  const wish = fc
    .tuple(
      fc.oneof(hostileText, fc.constantFrom('test/ok', 'test/ok', 'other/ok')),
      hostileJson,
      fc.dictionary(optionName, hostileJson, { maxKeys: 5 }),
    )
    .map(([action, params, options]) => {
      const given = Object.entries(options).map(([name, value]) => `${JSON.stringify(name)}:${value}`)
      return `{"action":${JSON.stringify(action)},"params":${params},"options":{${given.join(',')}}}`
    })
  return [
    {
      name: 'what programs send to the API',
      runs: { short: 500, long: 20_000 },
      property: fc.asyncProperty(
        fc.oneof(
          fc.constant('/api/v1/tasks'),
          segment.map(id => `/api/v1/tasks/${id}`),
          segment.map(id => `/api/v1/tasks/${id}/retry`),
          segment.map(id => `/api/v1/tasks/${id}/edit`),
          segment.map(n => `/api/v1/tasks/1/edits/${n}/reversal`),
        ),
        fc.constantFrom('GET', 'POST', 'POST', 'POST'),
        fc.oneof(
          wish,
          fc.array(wish, { maxLength: 3 }).map(all => `[${all.join(',')}]`),
          hostileJson,
        ),
        async (url, method, body) => {
          const headers = { authorization: `Bearer ${await token()}`, 'content-type': 'application/json' }
          const sent = method === 'GET' ? {} : { body: Buffer.from(body.toWellFormed()) }
          harmless(await panel.ask({ method, url, headers, ...sent, from: freshAddress() }), panel)
        },
      ),
    },
    {
      name: 'queries and bodies of all of the API',
      runs: { short: 400, long: 20_000 },
      property: fc.asyncProperty(
        fc.constantFrom(...routes),
        fc.array(segment, { minLength: 2, maxLength: 2 }),
        fc.array(fc.tuple(onTheWire(apiField), onTheWire(fc.oneof(hostileText, hostileJson))), { maxLength: 3 }),
        fc.dictionary(apiField, hostileJson, { maxKeys: 5 }),
        async ({ method, url }, given, query, fields) => {
          const search = query
            .map(pair => pair.join('='))
            .join('&')
            .slice(0, 4_000)
          const asked = filled(url, given) + (search === '' ? '' : `?${search}`)
          const headers: Record<string, string> = { authorization: `Bearer ${await token()}` }
          const body = `{${Object.entries(fields).map(([name, json]) => `${JSON.stringify(name)}:${json}`)}}`
          const sent =
            method === 'GET'
              ? { headers }
              : { headers: { ...headers, 'content-type': 'application/json' }, body: Buffer.from(body.toWellFormed()) }
          harmless(await panel.ask({ method, url: asked, ...sent, from: freshAddress() }), panel)
        },
      ),
    },
    {
      name: 'tokens: what is none opens nothing',
      runs: { short: 300, long: 10_000 },
      property: fc.asyncProperty(
        fc.oneof(
          hostileText,
          hostileText.map(more => `bgt_1_${more}`),
          fc.stringMatching(/^bgt_[0-9]{1,17}_[A-Za-z0-9_-]{42,44}$/),
        ),
        async given => {
          const value = [...given.toWellFormed()]
            .filter(character => character >= ' ' && character <= '~')
            .join('')
            .slice(0, 2_000)
          const answer = await panel.ask({ url: '/api/v1/tasks/1', headers: { authorization: `Bearer ${value}` }, from: freshAddress() })
          assert.equal(answer.status, 401, value)
        },
      ),
    },
  ]
}

/** What waits for half a minute, or starts a process. */
const leftAloneByPrograms = [/\/wait$/, /\/loop\/restart$/]

const optionName = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'execType',
      'type',
      'creator',
      'runAt',
      'delayMs',
      'priority',
      'unique',
      'onConflict',
      'maxAttempts',
      'timeoutMs',
      'graceMs',
      'rerunAfterCrash',
      'trx',
    ),
  },
  { weight: 1, arbitrary: hostileText },
)

/** Fields of bodies and queries of the API. */
const apiField = fc.oneof(
  optionName,
  fc.constantFrom('action', 'params', 'options', 'args', 'cron', 'everyMs', 'timeZone', 'missed', 'overlap', 'effect', 'seen'),
  fc.constantFrom('unique', 'error', 'state', 'limit', 'before', 'after', 'run', 'offset', 'tail', 'maxBytes'),
)

/** Streams of which there is no end. */
const endless = new Set(['/admin/live'])
/** What would end the fuzz's own session or person, start a process, or take a second for each password. */
const leftAlone = [/\/logout$/, /\/login/, /\/setup/, /\/account/, /\/prove/, /\/config\/users/, /\/loop\/start$/, /\/debug$/]

const queryNames = [
  'id',
  'run',
  'before',
  'after',
  'state',
  'exec_type',
  'type',
  'action',
  'creator',
  'text',
  'like',
  'next',
  'k',
  'part',
  'page',
  'at',
  'user',
  'act',
  'subject',
  'since',
  'until',
  'name',
]
const fieldName = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      'action',
      'params',
      'params.rows',
      'params.name',
      'params.tags',
      'params.__proto__',
      'exec_type',
      'type',
      'creator',
      'when',
      'delay',
      'delay_unit',
      'at',
      'at_instant',
      'priority',
      'unique',
      'on_conflict',
      'max_attempts',
      'timeout_s',
      'grace_s',
      'id',
      'limit_s',
      'name',
      'scopes',
      'scope',
      'expires',
      'rows',
      'next',
      'theme',
      'language',
    ),
  },
  { weight: 1, arbitrary: hostileText },
)

const schemas: (object | null)[] = [
  null,
  { type: 'object', properties: {} },
  {
    type: 'object',
    required: ['rows', 'name'],
    properties: {
      rows: { type: 'integer', minimum: 1, default: 10 },
      name: { type: 'string' },
      fast: { type: 'boolean' },
      mode: { anyOf: [{ const: 'a' }, { const: 3 }] },
      tags: { type: 'array', items: { type: 'string' } },
    },
  },
  JSON.parse(
    '{"type": "object", "properties": {"__proto__": {"type": "string"}, "constructor": {"type": "object"}, "toString": {"type": "number"}}}',
  ),
]

/** JSON as JSON.parse takes it, where `__proto__` is a key like any other; the text itself where it is no JSON. */
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const anyValue = fc.oneof(
  hostileJson.map(parsed),
  fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
  }),
  hostileText,
)

/** @returns undefined when it was refused with a sentence, as it should be */
const refusedOr = <T>(work: () => T): T | undefined => {
  try {
    return work()
  } catch (error) {
    if (error instanceof BgtaskError && error.code === 'refused') return undefined
    throw error
  }
}

const assertPlain = (value: Json): void => {
  if (typeof value !== 'object' || value === null) return
  const prototype = Object.getPrototypeOf(value)
  assert.ok(prototype === null || prototype === Object.prototype || prototype === Array.prototype, 'a plain object')
  assert.ok(!Object.hasOwn(value, '__proto__'))
  for (const inner of Object.values(value)) assertPlain(inner)
}

const prototypes = () =>
  [Object, Array, Function, String, Number, Promise, Map].map(({ prototype }) => Reflect.ownKeys(prototype).map(String))

/** No fault of ours, nothing told of the inside, and the policy on every answer. */
const harmless = ({ status, headers, body }: Answer, panel: ListeningPanel) => {
  assert.ok(status >= 200 && status < 500, `${status}: ${body.slice(0, 500)}`)
  assert.match(String(headers['content-security-policy']), /^default-src 'none'/)
  assert.doesNotMatch(body, /\bat \S+ \(?(file:|node:|\/)|node_modules|\.ts:\d+/)
  // Nothing of a request may be read as markup, nor as a header.
  assert.equal(headers['x-content-type-options'], 'nosniff')
  if (/html|xml|svg/.test(String(headers['content-type']))) assert.doesNotMatch(body, /<script>alert|<img src=x|onmouseover='alert/)
  assert.doesNotMatch((headers['set-cookie'] ?? []).join(), /planted/)
  const { location } = headers
  if (location === undefined) return
  const target = new URL(location, panel.origin)
  assert.equal(target.origin, panel.origin, location)
  assert.match(target.pathname, /^\/(admin|demo|api\/v1)/)
}

type KeptSession = () => Promise<SignedIn>

/** A session that is made anew when a request has ended it. */
const keptSession = async (panel: ListeningPanel): Promise<KeptSession> => {
  let kept = await panel.signIn('admin', { from: freshAddress() })
  return async () => {
    const [row] = panel.sql('SELECT 1 AS there FROM bg_session WHERE id_hash = ? AND expires_at > ?', kept.hash, Date.now() + 60_000)
    if (!row) kept = await panel.signIn('admin', { from: freshAddress() })
    return kept
  }
}

const filled = (url: string, given: string[]) => {
  let next = 0
  return url.replace(/:[a-z]+/gi, () => given[next++ % given.length]!.replaceAll('?', '%3F').replaceAll('/', '%2F').slice(0, 1_000))
}

const requestLine = (address: fc.Arbitrary<string>) =>
  fc
    .tuple(
      fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom('GET', 'HEAD', 'POST', 'OPTIONS', 'PUT', 'DELETE', 'TRACE', 'CONNECT') },
        fc.stringMatching(/^[A-Za-z-]{1,12}$/),
      ),
      fc.oneof(
        { weight: 5, arbitrary: address },
        onTheWire(hostileText).map(text => `/${text}`),
        fc.constantFrom('*', 'http://evil.example/admin', '//evil.example/admin', '/admin#x', 'admin', ''),
      ),
      fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'http/1.1', ''),
    )
    .map(words => words.join(' '))

const header = (panel: ListeningPanel) =>
  fc.oneof(
    fc
      .tuple(
        fc.constantFrom(
          'X-Forwarded-For',
          'X-Forwarded-Host',
          'X-Forwarded-Proto',
          'Forwarded',
          'Accept-Language',
          'Accept',
          'Accept-Encoding',
          'Cookie',
          'Referer',
          'Origin',
          'Sec-Fetch-Site',
          'Sec-Purpose',
          'Authorization',
          'Last-Event-ID',
          'If-None-Match',
          'Range',
          'Upgrade',
          'Transfer-Encoding',
          'Content-Length',
          'Expect',
          'Host',
          'X-Original-URL',
          'X-HTTP-Method-Override',
        ),
        hostileText,
      )
      .map(
        ([name, value]) =>
          `${name}: ${[...value.toWellFormed()]
            .filter(character => !/[\r\n\0]/.test(character))
            .join('')
            .slice(0, 2_000)}`,
      ),
    fc.constantFrom(
      `Host: localhost:${panel.port}`,
      `host : 127.0.0.1:${panel.port}`,
      'Host: evil.example',
      `Host: 127.0.0.1:${panel.port}@evil.example`,
      ' Host: folded',
      'no colon at all',
      'Transfer-Encoding: chunked',
      'Content-Length: 99',
      'Expect: 100-continue',
      'Authorization: Bearer bgt_1_x',
      'Cookie: a=%zz; b',
    ),
  )

/** Everything is sent and our side closed, so the panel waits for nothing more. */
const statusesOf = (panel: ListeningPanel, bytes: string): Promise<number[]> =>
  new Promise((resolve, reject) => {
    let said = ''
    const socket = connect({ port: panel.port, host: '127.0.0.1', localAddress: freshAddress() }, () => socket.end(bytes))
    socket.setTimeout(20_000, () => socket.destroy(new Error(`no end of the answer to ${JSON.stringify(bytes.slice(0, 500))}`)))
    socket.on('data', chunk => {
      said += chunk.toString('latin1')
    })
    socket.on('error', error =>
      (error as NodeJS.ErrnoException).code === 'ECONNRESET' || (error as NodeJS.ErrnoException).code === 'EPIPE'
        ? undefined
        : reject(error),
    )
    socket.on('close', () => resolve([...said.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(found => Number(found[1]))))
  })
