import type { FastifyInstance, FastifyRequest } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { cancelTask, cloneTask, deleteTask, restartTask, retryTask, runTaskNow, startTask, stopTask } from '../api/control.ts'
import { BgtaskError } from '../errors.ts'
import type { Task } from '../task/task.ts'
import { type TextKey, translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { type Panel, redirectWith } from './panel.ts'
import { taskIdOf } from './task-id.ts'

/** The buttons of a task, each a POST to a noun. */
export const registerTaskActs = (app: FastifyInstance, panel: Panel) => {
  const { background } = panel
  const acts: Record<string, { done: TextKey; act: (id: number, by: string) => Promise<Task | null> }> = {
    start: { done: 'acted.start', act: (id, by) => startTask(background, id, by) },
    stop: { done: 'acted.stop', act: (id, by) => stopTask(background, id, by) },
    restart: { done: 'acted.restart', act: (id, by) => restartTask(background, id, by) },
    run: { done: 'acted.run', act: (id, by) => runTaskNow(background, id, by) },
    cancellation: { done: 'acted.cancellation', act: (id, by) => cancelTask(background, id, by) },
    retry: { done: 'acted.retry', act: (id, by) => retryTask(background, id, by) },
    clone: { done: 'acted.clone', act: (id, by) => cloneTask(background, id, by) },
    deletion: { done: 'acted.deletion', act: async id => deleteTask(background, id).then(() => null) },
  }
  for (const [noun, { done, act }] of Object.entries(acts)) {
    app.post(`/admin/core/bgtask/:id/${noun}`, async (request, reply) => {
      const id = taskIdOf(request)
      const page = `/admin/core/bgtask/${id}`
      let task: Task | null
      try {
        task = await act(id, request.user!.name)
      } catch (error) {
        // Refused because of the task's state, which may have changed since the page was drawn: say so where the buttons are.
        if (error instanceof BgtaskError && (error.code === 'busy' || error.code === 'conflict' || error.code === 'refused')) {
          return redirectWith(request, reply, page, { tone: 'bad', text: error.message })
        }
        throw error
      }
      await audit(panel, request, noun, id)
      panel.live.poke()
      const flash = { tone: 'good', text: translate(request.language, done, { id: String(id) }) } as const
      return redirectWith(request, reply, task === null ? '/admin/core/bgtask' : `/admin/core/bgtask/${task.id}`, flash)
    })
  }
}

const audit = (panel: Panel, request: FastifyRequest, noun: string, id: number) =>
  noteAct(panel.background.db, actorOf(request), { act: `task-${noun}`, subject: String(id) })
