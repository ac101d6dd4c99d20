import type { CronPart } from '../store/cron-parts.ts'
import type { CronFacts } from './module-facts.ts'

/** One thing that a cron run does. */
export interface PartToDo {
  kind: CronPart['kind']
  name: string
  module: string
}

/** A cron run: of which task, by which run of that it was begun, and which one carries it on now. */
export interface BegunRun {
  taskId: number
  first: number
  number: number
}

/** Whether a part was last come to in this cron run, by an earlier run of its task or by this one. */
export const isOf = (part: Pick<CronPart, 'taskId' | 'number'>, { taskId, first }: BegunRun): boolean =>
  part.taskId === taskId && part.number >= first

/**
 * What is left to do in a cron run, in order: hooks by name, then queues by name. What has ended in an earlier run of its task is done; what
 * never ended when cron last came to it, since the process died of it or beside it, goes last, so that nothing else has to wait for what cannot be done.
 */
export const orderParts = ({ modules, queues }: CronFacts, before: readonly CronPart[], begun: BegunRun): PartToDo[] => {
  const all: PartToDo[] = [
    ...modules.filter(({ hook }) => hook).map(({ name }) => ({ kind: 'hook' as const, name, module: name })),
    ...queues.filter(({ skipOnCron }) => !skipOnCron).map(({ name, module }) => ({ kind: 'queue' as const, name, module })),
  ]
  const lastOf = ({ kind, name }: PartToDo) => before.find(part => part.kind === kind && part.name === name)
  const hasDied = (part: PartToDo) => {
    const last = lastOf(part)
    return last !== undefined && last.endedAt === null
  }
  const isDone = (part: PartToDo) => {
    const last = lastOf(part)
    return begun.number > begun.first && last !== undefined && last.endedAt !== null && last.outcome !== 'interrupted' && isOf(last, begun)
  }
  const left = all.filter(part => !isDone(part))
  return [...left.filter(part => !hasDied(part)), ...left.filter(hasDied)]
}
