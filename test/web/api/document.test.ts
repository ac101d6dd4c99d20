import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { validate } from '@hyperjump/json-schema/openapi-3-1'
import { tokenRoutes } from '../../../app/web/roles.ts'
import { createFit } from '../../helpers/fits-document.ts'
import { freshAddress, type ListeningPanel, listenPanel } from '../../helpers/listening-panel.ts'
import { askWith, makeTestToken, sentenceIn } from './ask-with.ts'

let panel: ListeningPanel
before(async () => {
  panel = await listenPanel()
})
after(() => panel.close())

const documentText = async () => (await panel.ask({ url: '/api/v1/openapi.json', from: freshAddress() })).body

test('each route of the API is in the document with its scope, and nothing else is', async () => {
  const { operations, document } = createFit(JSON.parse(await documentText()) as object)
  const registered = panel.routes.filter(({ url }) => url.startsWith('/api/v1')).map(({ name }) => name)
  assert.ok(registered.length >= 13)
  const told = operations.map(({ method, path }) => `${method} /api/v1${path.replaceAll(/\{(\w+)\}/g, ':$1')}`)
  assert.deepEqual(told.sort(), registered.sort())
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, found] of Object.entries(methods)) {
      const operation = found as unknown as { security: { bearer?: string[] }[]; operationId: string; summary: string }
      const need = tokenRoutes[`${method.toUpperCase()} /api/v1${path.replaceAll(/\{(\w+)\}/g, ':$1')}`]!
      const scope = operation.security[0]?.bearer?.[0]?.replace(/:<.*>$/, '') ?? 'any'
      assert.equal(scope, need, path)
      assert.ok(operation.summary.length > 5, path)
    }
  }
  const ids = operations.map(({ operation }) => (operation as unknown as { operationId: string }).operationId)
  assert.equal(new Set(ids).size, ids.length)
})

test('the document is whole: all it refers to is there, addresses say their parameters, examples fit', async () => {
  const text = await documentText()
  const { document, operations } = createFit(JSON.parse(text) as object)
  assert.equal((document as unknown as { openapi: string }).openapi, '3.1.0')
  const references = [...text.matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)]
  assert.ok(references.length > 30)
  for (const [, kind, name] of references) assert.ok(document.components[kind as 'schemas'][name!], `${kind} ${name}`)
  for (const { path, operation } of operations) {
    const { parameters } = operation as unknown as { parameters: { name: string; in: string; required: boolean }[] }
    const inPath = parameters.filter(one => one.in === 'path')
    assert.deepEqual(
      inPath.map(({ name }) => `{${name}}`),
      path.match(/\{\w+\}/g) ?? [],
    )
    assert.ok(inPath.every(({ required }) => required))
  }
  const bodies = operations.flatMap(({ method, path, operation }) => {
    const { requestBody } = operation as unknown as { requestBody?: { required: boolean } }
    return requestBody ? [`${method} ${path} ${requestBody.required ? 'needs' : 'may have'} one`] : []
  })
  assert.deepEqual(bodies.filter(told => told.endsWith('may have one')).sort(), [
    'POST /commands/{name} may have one',
    'POST /tasks/{id}/edits/{n}/reversal may have one',
  ])
  assert.ok(bodies.includes('POST /failed/discard needs one'))
  assert.doesNotMatch(text, /\$id|"~/, 'nothing of the way it is made')
})

test('the document is what the specification of OpenAPI 3.1 calls one, with the schemas in it', async () => {
  const text = await documentText()
  const check = await validate('https://spec.openapis.org/oas/3.1/schema-base')
  const faultsOf = (document: object) => {
    const found = check(document as Parameters<typeof check>[0], 'BASIC')
    return 'errors' in found ? (found.errors as { instanceLocation: string }[]).map(({ instanceLocation }) => instanceLocation) : []
  }
  const whole = JSON.parse(text) as Parameters<typeof check>[0]
  assert.deepEqual([check(whole).valid, faultsOf(whole as object)], [true, []])
  // And it finds what is not.
  type Changed = {
    paths: Record<string, Record<string, Changing>>
    components: { schemas: Record<string, { properties: Record<string, Changing> }> }
  }
  type Changing = Record<string, unknown> & { responses: Record<string, Changing> }
  for (const [where, change] of [
    ['/components/schemas/Task/properties/id/type', ({ components }) => (components.schemas.Task!.properties.id!.type = 'number or so')],
    ['/paths/~1tasks/get/responses/200', ({ paths }) => delete paths['/tasks']!.get!.responses[200]!.description],
    ['/paths/~1tasks~1{id}/get/parameters', ({ paths }) => (paths['/tasks/{id}']!.get!.parameters = [{ name: 'id', in: 'path' }])],
    ['/paths/~1tasks/get/security', ({ paths }) => (paths['/tasks']!.get!.security = { bearer: [] })],
  ] as [string, (document: Changed) => unknown][]) {
    const document = JSON.parse(text) as Changed
    change(document)
    assert.ok(
      faultsOf(document).some(found => decodeURIComponent(found).includes(where)),
      `${where}: ${faultsOf(document).join(' ')}`,
    )
  }
})

test('the document tells nothing of this installation, and everybody may read it', async () => {
  const answer = await panel.ask({ url: '/api/v1/openapi.json', from: freshAddress() })
  assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'application/json; charset=utf-8'])
  for (const word of [panel.runtime, String(panel.port), 'test/ok', process.version]) assert.ok(!answer.body.includes(word), word)
})

test('an answer that is not as the document says is found', async () => {
  const { faultsOf } = createFit(JSON.parse(await documentText()) as object)
  const task = await panel.background.addTask('test/ok')
  const { text } = await makeTestToken(panel, ['task:read'])
  const { body } = await askWith(panel, text)('GET', `/tasks/${task.id}`)
  const about = { method: 'GET', url: `/api/v1/tasks/${task.id}`, status: 200, contentType: 'application/json; charset=utf-8' }
  assert.deepEqual(faultsOf({ ...about, body }), [])
  const good = JSON.parse(body) as { task: Record<string, unknown> }
  for (const [what, task] of Object.entries({
    'a new field': { ...good.task, secret: 1 },
    'another state': { ...good.task, state: 'asleep' },
    'text for a number': { ...good.task, id: '1' },
    'a field less': Object.fromEntries(Object.entries(good.task).filter(([name]) => name !== 'why')),
  }))
    assert.notDeepEqual(faultsOf({ ...about, body: JSON.stringify({ ...good, task }) }), [], what)
  assert.notDeepEqual(faultsOf({ ...about, body, status: 202 }), [])
  assert.notDeepEqual(faultsOf({ ...about, body: '{"error": "no"}', status: 404 }), [])
  assert.notDeepEqual(faultsOf({ ...about, body, contentType: 'text/html' }), [])
  assert.notDeepEqual(faultsOf({ ...about, body, url: '/api/v1/nowhere' }), [])
})

test('a wrong method is told which ones there are, nothing there stays 404', async () => {
  const { text } = await makeTestToken(panel, ['task:read'])
  const ask = askWith(panel, text)
  for (const [method, path, allow] of [
    ['PUT', '/tasks', 'GET, POST'],
    ['DELETE', '/tasks/7', 'GET'],
    ['POST', '/tasks/7', 'GET'],
    ['GET', '/tasks/7/retry', 'POST'],
    ['HEAD', '/tasks/7', 'GET'],
    ['OPTIONS', '/loop/restart', 'POST'],
  ] as const) {
    const answer = await ask(method, path)
    assert.deepEqual([answer.status, answer.headers.allow], [405, allow], `${method} ${path}`)
    if (method !== 'HEAD') assert.match(sentenceIn(answer), new RegExp(`^This address is not asked by ${method} but by ${allow}\\.$`))
  }
  for (const path of ['/nowhere', '/tasks/7/nowhere', '/Tasks']) assert.equal((await ask('GET', path)).status, 404, path)
})

test('what stands behind the ? is held against the schema, in sentences', async () => {
  const { text } = await makeTestToken(panel, ['task:read'])
  const ask = askWith(panel, text)
  for (const [query, words] of [
    ['limit=0', /limit must be >= 1, but is 0/],
    ['limit=1000', /limit must be <= 200, but is 1000/],
    ['limit=ten', /limit must be a whole number, but is "ten"/],
    ['limit=1&limit=2', /limit must be a whole number, but is \["1","2"\]/],
    ['state=asleep', /state\.0 must be one of "waiting".*but is "asleep"/],
    ['sate=waiting', /sate is not known; allowed are state, execType/],
    ['after=1&before=2', /Both after and before are given/],
    ['after=x', /The page cursor is "x"/],
    ['unique=', /unique must not have fewer than 1 characters/],
    ['__proto__=1', /not known|is not as it should be/],
  ] as const) {
    const answer = await ask('GET', `/tasks?${query}`)
    assert.equal(answer.status, 422, `${query}: ${answer.body}`)
    assert.match(sentenceIn(answer), words)
  }
})
