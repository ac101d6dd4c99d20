/** Names of commands, as the file, scopes and addresses have them. */
export const commandName = /^[a-z][a-z0-9_-]{0,63}$/

/** The action that every command is a task of. */
export const commandAction = 'core/command'
/** The type of its tasks. */
export const commandType = 'command'
