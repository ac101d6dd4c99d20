import { bulkAction, recoveryAction } from './core-actions.ts'
import { channels, notifyAction } from './notify.ts'

/**
 * Actions of bgtask itself that run beside BGTASK_MAX_RUNNING, and how many tasks of each at once: an export of hours in every slot must neither
 * silence what is wrong, nor keep who stops a hundred loops waiting.
 */
export const ownSlots: Readonly<Record<string, number>> = {
  [notifyAction]: channels.length,
  [bulkAction]: 1,
  [recoveryAction]: 1,
}
