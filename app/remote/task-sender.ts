import type { TaskOptions } from '../api/check-options.ts'
import type { ExecType, Task } from '../task/task.ts'

/** The options that can be said from another machine as well: all but a transaction. */
export type SendOptions = Omit<TaskOptions, 'trx'>

export interface SendWish {
  action: string
  /** Default {}. */
  params?: unknown
  options?: SendOptions
}

/** What the library (`import * as bgtask from 'bgtask'`, `openBackground()`) and a `TaskClient` both can: code that is written against this may be given either. */
export interface TaskSender {
  addTask(action: string, params?: unknown, execTypeOrOptions?: ExecType | SendOptions): Promise<Task>
  /** All of them or none. */
  addTasks(wishes: readonly SendWish[]): Promise<Task[]>
}
