import type { FastifyInstance } from 'fastify'
import type { Background } from '../../api/background.ts'
import { EXEC_TYPE_FOREVER } from '../../index.ts'

/*
 * How an application uses bgtask: a page whose handlers call addTask() and answer at once; the work is done elsewhere.
 * Every file in this folder is registered by itself. Your own would write: import { addTask } from 'bgtask'
 */
export default async function demo(app: FastifyInstance, { background, root }: { background: Background; root: string }) {
  // Leave requireLogin out, and anybody may ask for the page.
  const operators = { onRequest: app.requireLogin('operator') }

  app.get('/demo', operators, async (_request, reply) => reply.page('demo'))

  app.post('/demo/export', operators, async (request, reply) => {
    const { rows } = request.body as { rows?: string }
    const task = await background.addTask('demo/csv-export', { rows: Number(rows) }, { type: 'demo', creator: '/demo' })
    return reply.redirect(`${root}/core/bgtask/${task.id}`, 303)
  })

  app.post('/demo/heartbeat', operators, async (_request, reply) => {
    // However often the button is pressed: with a unique key there is one.
    const task = await background.addTask(
      'demo/heartbeat',
      {},
      { execType: EXEC_TYPE_FOREVER, unique: 'demo-heartbeat', type: 'demo', creator: '/demo' },
    )
    return reply.redirect(`${root}/core/bgtask/${task.id}`, 303)
  })
}
