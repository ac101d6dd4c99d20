import type { ActionEntry } from '../catalog/action-entry.ts'
import { checkParams } from '../catalog/check-params.ts'
import { type Redaction, redactionOf } from '../runs/redaction.ts'
import type { Task } from '../task/task.ts'
import { type Sentence, Told, type ToldValue } from '../task/told.ts'
import type { Panel } from './panel.ts'

/**
 * What is wrong with a task's params by its action as it is now, without secrets: the action may have changed since they were given. Nothing for what has
 * worked, or is not wanted any more.
 */
export const paramFaults = async (
  { config }: Pick<Panel, 'config'>,
  entry: Pick<ActionEntry, 'paramsSchema'> | null,
  { state, params }: Pick<Task, 'state' | 'params'>,
): Promise<Sentence[]> => {
  if (!entry || state === 'succeeded' || state === 'cancelled') return []
  const faults = await checkParams(entry, params)
  if (faults.length === 0) return faults
  const redactor = redactionOf(config).ofParams(params)
  return faults.slice(0, mostFaults).map(fault => hide(redactor, fault))
}

const mostFaults = 5

const hide = <Value extends ToldValue>(redactor: ReturnType<Redaction['ofParams']>, value: Value): Value => {
  if (value instanceof Told)
    return new Told(
      value.key,
      value.values.map(part => hide(redactor, part)),
    ) as Value
  return (typeof value === 'string' ? redactor.text(value) : value) as Value
}
