/** Acts on all tasks that match a filter. */
export const bulkAction = 'core/bulk'
/** Has failed tasks run again, or deletes them. */
export const recoveryAction = 'core/recover'
