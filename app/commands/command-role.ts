/** Who may run a command by hand; a viewer never does. */
export const commandRoles = ['operator', 'admin'] as const
export type Role = (typeof commandRoles)[number]
