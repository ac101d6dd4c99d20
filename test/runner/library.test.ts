import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Type } from 'typebox'
import { type Context, defineAction, type Json } from '../../app/index.ts'
import { inPackage } from '../../app/paths.ts'

describe('the library', () => {
  it('adds tasks from a program of its own, which ends by itself once it has closed', () => {
    const environment = {
      PATH: process.env.PATH,
      BGTASK_RUNTIME: mkdtempSync(join(tmpdir(), 'bgtask-library-')),
      BGTASK_ACTIONS: inPackage('test', 'fixtures', 'actions'),
    }
    const program = `import { addTask, addTasks, closeBackground, EXEC_TYPE_FOREVER } from ${JSON.stringify(inPackage('app', 'index.ts'))}
const one = await addTask('test/ok', { a: 1 })
const loop = await addTask('test/forever', {}, EXEC_TYPE_FOREVER)
const many = await addTasks([{ action: 'test/ok' }, { action: 'test/ok' }])
const refused = await addTask('test/okk').catch(error => error.message)
await closeBackground()
console.log(JSON.stringify([one.id, one.state, loop.execType, many.map(({ id }) => id), refused]))`
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', program], { env: environment, timeout: 30_000 })
    const [one, state, execType, many, refused] = JSON.parse(printed.toString())
    assert.deepEqual([state, execType, many], ['waiting', 'FOREVER', [one + 2, one + 3]])
    assert.match(refused, /did you mean test\/ok/)
  })

  it('types the params of an action by its schema, by typebox or by hand, and as JSON without one', () => {
    // These lines are checked by the compiler; nothing happens in them.
    const byHand = defineAction({
      params: { type: 'object', properties: { rows: { type: 'integer' }, name: { type: 'string' } }, required: ['rows'] },
      execute({ params }) {
        const rows: number = params.rows
        const name: string | undefined = params.name
        // @ts-expect-error rows is a number
        const wrong: string = params.rows
        return [rows, name, wrong]
      },
    })
    const byTypebox = defineAction({
      params: Type.Object({ rows: Type.Integer(), name: Type.Optional(Type.String()) }),
      execute({ params }) {
        const rows: number = params.rows
        const name: string | undefined = params.name
        // @ts-expect-error rows is a number
        const wrong: string = params.rows
        return [rows, name, wrong]
      },
    })
    const byNothing = defineAction({
      execute(ctx) {
        const params: Json = ctx.params
        return params
      },
    })
    const context = { params: { rows: 1, name: 'x' } } as Context<{ rows: number; name: string }>
    assert.deepEqual(byHand.execute(context), [1, 'x', 1])
    assert.deepEqual(byTypebox.execute(context), [1, 'x', 1])
    assert.deepEqual(byNothing.execute(context as unknown as Context), { rows: 1, name: 'x' })
  })
})
