import { defineAction, failure } from '../../index.ts'

export default defineAction({
  description: 'Fails at its first tries, then succeeds: shows how a task is tried again.',
  params: {
    type: 'object',
    properties: { times: { type: 'integer', title: 'Failing tries', minimum: 0, maximum: 100, default: 2 } },
    additionalProperties: false,
  },
  maxAttempts: 3,
  execute: ({ params, task }) => {
    const times = params.times ?? 2
    if (task.attempt < times) return failure(`try ${task.attempt + 1} failed, as ${times} shall`)
    return `try ${task.attempt + 1} succeeded`
  },
})
