import { findTaskByUid } from '../store/find-task.ts'
import type { Task } from '../task/task.ts'
import type { Panel } from './panel.ts'

/** The task of this uid: in an address, or typed where tasks are looked for. null for a text that is none. */
export const findNamed = async ({ background: { db } }: Pick<Panel, 'background'>, text: string): Promise<Task | null> =>
  /^[a-z0-9]{16}$/.test(text) && !/^\d+$/.test(text) ? findTaskByUid(db, text) : null
