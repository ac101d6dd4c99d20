import type { TaskFilter } from '../store/list-tasks.ts'
import { isErrorKey } from '../task/error-pattern.ts'
import { loopStates, onceStates } from '../task/task.ts'
import { fieldsOf } from './fields.ts'
import { parseTaskId } from './task-id.ts'

export const taskStates = [...new Set([...onceStates, ...loopStates])]

/** What the address of a list of tasks chooses, by the names that it has there; empty: nothing. */
export interface ChosenTasks {
  state: (typeof taskStates)[number] | ''
  exec_type: 'ONCE' | 'FOREVER' | ''
  type: string
  action: string
  creator: string
  unique: string
  error: string
  text: string
  schedule: string
}

/** @param query hostile @returns unknown: a state or kind that there is not, as a mistyped address has it */
export const readTaskFilter = (query: unknown): { chosen: ChosenTasks; filter: TaskFilter; unknown: string | null } => {
  const given = fieldsOf(query)
  const chosen: ChosenTasks = {
    state: taskStates.find(state => state === given.state) ?? '',
    exec_type: given.exec_type === 'ONCE' || given.exec_type === 'FOREVER' ? given.exec_type : '',
    type: (given.type ?? '').slice(0, 64),
    action: (given.action ?? '').slice(0, 140),
    creator: (given.creator ?? '').slice(0, 64),
    unique: (given.unique ?? '').slice(0, 255),
    error: isErrorKey(given.error ?? '') ? given.error! : '',
    text: (given.text ?? '').slice(0, 200),
    schedule: String(parseTaskId(given.schedule ?? '') ?? ''),
  }
  const filter: TaskFilter = {
    ...(chosen.state ? { states: [chosen.state] } : {}),
    ...(chosen.exec_type ? { execType: chosen.exec_type } : {}),
    ...(chosen.type ? { type: chosen.type } : {}),
    ...(chosen.action ? { action: chosen.action } : {}),
    ...(chosen.creator ? { creator: chosen.creator } : {}),
    ...(chosen.unique ? { uniqueKey: chosen.unique } : {}),
    ...(chosen.error ? { error: chosen.error } : {}),
    ...(chosen.text ? { text: chosen.text } : {}),
    ...(chosen.schedule ? { scheduleId: Number(chosen.schedule) } : {}),
  }
  return { chosen, filter, unknown: unknownOf(given) }
}

/** What was chosen, as fields of an address or a form. */
export const chosenFields = (chosen: ChosenTasks): [string, string][] => Object.entries(chosen).filter(([, value]) => value !== '')

/** All tasks would be the wrong answer to that. */
const unknownOf = ({ state = '', exec_type: kind = '' }: Record<string, string>): string | null => {
  if (state !== '' && !taskStates.some(known => known === state)) return state.slice(0, 60)
  return kind === '' || kind === 'ONCE' || kind === 'FOREVER' ? null : kind.slice(0, 60)
}
