import type { FastifyInstance } from 'fastify'
import type { Background } from '../../api/background.ts'
import { BgtaskError } from '../../index.ts'
import { tell } from '../../texts/tell.ts'
import { outputModel, taskModel } from '../../web/task.ts'
import { parseTaskId } from '../../web/task-id.ts'

/*
 * A button that deploys: what runs, as whom and with which arguments is said by the commands file on the server (commands.ts) and by nobody here. The
 * handler answers at once; the page that it leads to shows what the script prints, as it prints it, and how it ended.
 */
export default async function deploy(app: FastifyInstance, { background, root }: { background: Background; root: string }) {
  const operators = { onRequest: app.requireLogin('operator') }
  const { config } = background

  app.get('/demo/deploy', operators, async (request, reply) => {
    const id = parseTaskId((request.query as { task?: string }).task ?? '')
    const run = id === null ? null : await taskModel({ config, background }, id, {})
    if (run?.task.action !== 'core/command') return reply.page('demo-deploy', { run: null, problem: null, given: {} })
    const { args } = run.task.params as { args?: Record<string, unknown> }
    const output = outputModel({ config }, run.task.id, run.shownNumber)
    return reply.page('demo-deploy', {
      run,
      ...output,
      problem: null,
      given: args ?? {},
      // The page follows the run as its own page does; without script it looks again while the run is under way.
      liveHere: `${root}/core/bgtask/${run.task.id}`,
      liveAt: run.shownNumber > 0 ? `${run.shownNumber}:${output.outputTo}` : '',
      refreshS: run.task.finishedAt === null ? 1 : null,
    })
  })

  app.post('/demo/deploy', operators, async (request, reply) => {
    const { environment = '', revision = '', dry_run } = request.body as Record<string, string>
    const args = { environment, revision, dryRun: dry_run === 'on' }
    try {
      // Pressed twice, it deploys once: while one waits or runs, that is the one which is shown.
      const options = { creator: request.user!.name, unique: 'demo-deploy', onConflict: 'keep' } as const
      const task = await background.sendCommand('deploy', args, options)
      return reply.redirect(`/demo/deploy?task=${task.id}`, 303)
    } catch (error) {
      if (!(error instanceof BgtaskError)) throw error
      return reply.page('demo-deploy', { run: null, problem: tell(request.language, error.sentence), given: args }, error.httpStatus)
    }
  })
}
