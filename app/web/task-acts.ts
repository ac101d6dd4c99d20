import type { FastifyInstance } from 'fastify'
import { type Actor, audited } from '../api/audited.ts'
import {
  cancelTask,
  cloneTask,
  deleteTask,
  existing,
  restartTask,
  retryTask,
  returnTask,
  runTaskNow,
  startTask,
  stopTask,
} from '../api/control.ts'
import { commandAction } from '../commands/command-name.ts'
import { BgtaskError } from '../errors.ts'
import { wasCancelledWaiting } from '../task/cancelled-waiting.ts'
import type { Task } from '../task/task.ts'
import { tell } from '../texts/tell.ts'
import { type TextKey, translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { commandPath } from './commands.ts'
import { type Panel, redirectWith } from './panel.ts'
import { isCommandTask } from './prove.ts'
import { taskIdOf } from './task-id.ts'

/** The buttons of a task, each a POST to a noun. */
export const registerTaskActs = (app: FastifyInstance, panel: Panel) => {
  const { background } = panel
  type Done = Promise<Task | null>
  const told =
    (noun: string, act: (id: number, by: string, actor: Actor) => Done) =>
    ({ id, action }: Task, by: string, actor: Actor): Done =>
      audited(background.db, actor, { act: `task-${noun}`, subject: String(id), detail: action }, () => act(id, by, actor))
  const acts: Record<string, { done: TextKey; act: (task: Task, by: string, actor: Actor) => Done }> = {
    start: { done: 'acted.start', act: told('start', (id, by) => startTask(background, id, by)) },
    stop: { done: 'acted.stop', act: told('stop', (id, by) => stopTask(background, id, by)) },
    restart: { done: 'acted.restart', act: told('restart', (id, by) => restartTask(background, id, by)) },
    run: { done: 'acted.run', act: told('run', (id, by, { reach }) => runTaskNow(background, id, by, reach)) },
    cancellation: { done: 'acted.cancellation', act: told('cancellation', (id, by) => cancelTask(background, id, by)) },
    retry: { done: 'acted.retry', act: told('retry', (id, by, { reach }) => retryTask(background, id, by, reach)) },
    return: { done: 'acted.return', act: told('return', (id, by, { reach }) => returnTask(background, id, by, reach)) },
    deletion: { done: 'acted.deletion', act: told('deletion', id => deleteTask(background, id).then(() => null)) },
    // Audited with the task that it adds, whose id is not known before.
    clone: { done: 'acted.clone', act: ({ id }, by, actor) => cloneTask(background, id, by, { actor }) },
  }
  for (const [noun, { done, act }] of Object.entries(acts)) {
    // A command that waits was asked for to be run then, and not now.
    app.post(`/core/bgtask/:id/${noun}`, noun === 'run' ? { config: { fresh: isCommandTask(panel) } } : {}, async (request, reply) => {
      const id = taskIdOf(request)
      const page = `${panel.root}/core/bgtask/${id}`
      const asked = await existing(background, id)
      // A command is run again as it was run: shown first, and by who has given the password lately.
      if (asked.action === commandAction && (noun === 'retry' || noun === 'return' || noun === 'clone'))
        return redirectWith(request, reply, panel.root + commandPath(asked), {
          tone: 'plain',
          text: translate(request.language, 'commands.again'),
        })
      let task: Task | null
      try {
        task = await act(asked, request.user!.name, actorOf(request))
      } catch (error) {
        // Refused because of the task's state, which may have changed since the page was drawn: say so where the buttons are.
        if (
          error instanceof BgtaskError &&
          (error.code === 'busy' || error.code === 'conflict' || error.code === 'refused' || error.code === 'forbidden')
        ) {
          return redirectWith(request, reply, page, { tone: 'bad', text: tell(request.language, error.sentence) })
        }
        throw error
      }
      panel.live.poke()
      const said = noun === 'cancellation' && task?.state === 'cancelled' ? 'acted.cancelled' : done
      const undo = task === null ? undefined : undoOf(noun, task)
      const text = translate(request.language, said, { id: String(id) })
      const flash = { tone: 'good', text, ...(undo ? { undo: `${page}/${undo}` } : {}) } as const
      return redirectWith(request, reply, `${panel.root}/core/bgtask${task === null ? '' : `/${task.id}`}`, flash)
    })
  }
}

/** The button that undoes what was just done; undefined where there is none. @param task as it stands then */
const undoOf = (noun: string, task: Task): string | undefined => {
  if (noun === 'stop') return 'start'
  return noun === 'cancellation' && wasCancelledWaiting(task) ? 'return' : undefined
}
