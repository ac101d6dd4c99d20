import type { Actor } from '../api/audited.ts'
import { thisUser } from '../api/this-user.ts'

/** Who acts at a command line, as pages and the audit name it. */
export const actor = (): string => `${thisUser().name} (command line)`

/** The same, for the audit. */
export const commandLine = (): Actor => ({ name: actor(), ip: null, via: 'command-line', reach: 'all' })
