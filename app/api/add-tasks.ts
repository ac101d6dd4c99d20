import type { Task } from '../task/task.ts'
import { sharedBackground } from './background.ts'
import type { TaskWish } from './store-tasks.ts'

/**
 * Adds many tasks at once, all or none, with one round trip per 1,000.
 * @returns the tasks in the order given
 * @throws BgtaskError `refused`, naming the first of the list that cannot be, by its place from 1; nothing is stored then
 * @see addTask
 */
export const addTasks = async (wishes: readonly TaskWish[]): Promise<Task[]> => (await sharedBackground()).addTasks(wishes)
