import { defineAction } from '../../index.ts'

// The schema is plain JSON: it gives ctx.params its types all the same, and a run need not load a schema library for it.
export default defineAction({
  description: 'Greets someone: the smallest action that takes params and says what it achieved.',
  params: {
    type: 'object',
    properties: { name: { type: 'string', title: 'Name', minLength: 1, maxLength: 100, default: 'world' } },
    additionalProperties: false,
  },
  execute: ctx => {
    ctx.log('greeting', { name: ctx.params.name ?? 'world' })
    return `Hello, ${ctx.params.name ?? 'world'}.`
  },
})
