import { defineAction, execForeverInterval } from '../../index.ts'

export default defineAction({
  description: 'A loop that prints a line now and then.',
  params: {
    type: 'object',
    properties: {
      intervalMs: { type: 'integer', title: 'Milliseconds between two lines', minimum: 10, maximum: 86_400_000, default: 5000 },
    },
    additionalProperties: false,
  },
  execType: 'FOREVER',
  execute: ({ params, run }) => {
    return execForeverInterval(({ number, log }) => log('alive', { run: run.number, iteration: number }), params.intervalMs ?? 5000)
  },
})
