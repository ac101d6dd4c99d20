import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Type } from 'typebox'
import { checkParams } from '../../app/catalog/check-params.ts'
import type { Json } from '../../app/task/task.ts'

const paramsSchema = JSON.parse(
  JSON.stringify(
    Type.Object(
      { rows: Type.Integer({ minimum: 1 }), to: Type.Optional(Type.Array(Type.Object({ mail: Type.String({ minLength: 3 }) }))) },
      { additionalProperties: false },
    ),
  ),
) as object

const faults = async (params: Json) => (await checkParams({ paramsSchema }, params)).map(String)

describe('checkParams', () => {
  it('finds nothing wrong with params that fit, and with any where there is no schema', async () => {
    assert.deepEqual(await faults({ rows: 5, to: [{ mail: 'a@b' }] }), [])
    assert.deepEqual(await checkParams({ paramsSchema: null }, { whatever: [1] }), [])
  })

  it('names the place, what is wrong and what was given', async () => {
    assert.deepEqual(await faults({ rows: '5' }), ['rows must be a whole number, but is "5"'])
    assert.deepEqual(await faults({ rows: 0 }), ['rows must be >= 1, but is 0'])
    assert.deepEqual(await faults({ rows: 1, to: [{ mail: 'abc' }, { mail: 'a' }] }), [
      'to.1.mail must not have fewer than 3 characters, but is "a"',
    ])
    assert.deepEqual(await faults({}), ['rows is missing'])
    assert.deepEqual(await faults({ rows: 1, more: 2 }), ['more is not known; allowed are rows, to'])
    assert.deepEqual(await faults(null), ['params must be an object, but is null'])
    assert.deepEqual(await faults([]), ['params must be an object, but is []'])
  })

  it('names what is allowed of a choice', async () => {
    const choice = { type: 'object', properties: { how: { enum: ['fast', 'slow'] }, on: { const: true } } }
    assert.deepEqual((await checkParams({ paramsSchema: choice }, { how: 'x' })).map(String), [
      'how must be one of "fast", "slow", but is "x"',
    ])
    assert.deepEqual((await checkParams({ paramsSchema: choice }, { on: 1 })).map(String), ['on must be true, but is 1'])
  })

  it('shows only the beginning of what is long', async () => {
    const [fault] = await faults({ rows: 'x'.repeat(1000) })
    assert.ok(String(fault).length < 120, String(fault))
  })

  it('is not fooled by names that every object has', async () => {
    assert.equal((await faults(JSON.parse('{"rows":1,"__proto__":{"x":1}}') as Json)).length, 1)
    assert.equal((await faults(JSON.parse('{"rows":1,"constructor":1}') as Json)).length, 1)
  })
})
