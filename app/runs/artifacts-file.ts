import type { RunUser } from './run-user.ts'
import { readJson } from './write-file.ts'

/** A file that a run declared to have made (`ctx.artifact`). The file is its owner's: only that it was declared is ours. */
export interface Artifact extends FileIdentity {
  /** 1, 2, 3 … within its run; the same file declared again keeps it. */
  n: number
  /** Under which it is shown and downloaded. */
  name: string
  /** Absolute, without symbolic links. */
  path: string
  /** When it was declared; it may have grown since. */
  sizeBytes: number
  /** Milliseconds since 1970. */
  declaredAt: number
}

/** Which file it is, whatever lies under its path later. Numbers of 64 bits, as text. */
export interface FileIdentity {
  device: string
  inode: string
  /** Nanoseconds since 1970; `0` where the file system does not know. */
  bornNs: string
}

/** As it is kept when the run has ended. */
export interface KeptArtifact extends Artifact {
  /** The run was another user's: so is whatever is read for it. null: our own user's. */
  user: RunUser | null
}

/** A run keeps the newest so many. */
export const mostArtifacts = 50
export const longestName = 150
export const longestPath = 4_096

/** A number of the device may be another one after a restart; that of the file and its birth may not. */
export const isSameFile = (one: FileIdentity, other: FileIdentity): boolean =>
  one.inode === other.inode && (one.bornNs !== '0' || other.bornNs !== '0' ? one.bornNs === other.bornNs : one.device === other.device)

/** What a run declared so far. An action may write into its own folder: what comes from there is checked like any input. */
export const readArtifacts = (path: string): Artifact[] => {
  const told = readJson<{ artifacts?: unknown }>(path)?.artifacts
  return Array.isArray(told) ? told.slice(-mostArtifacts).filter(isArtifact) : []
}

const isArtifact = (value: unknown): value is Artifact => {
  if (typeof value !== 'object' || value === null) return false
  const { n, name, path, sizeBytes, declaredAt, device, inode, bornNs } = value as Record<string, unknown>
  return (
    isCount(n) &&
    isCount(sizeBytes) &&
    isCount(declaredAt) &&
    typeof name === 'string' &&
    whyNoName(name) === null &&
    typeof path === 'string' &&
    path.startsWith('/') &&
    path.length <= longestPath &&
    !path.includes('\0') &&
    path.isWellFormed() &&
    [device, inode, bornNs].every(number => typeof number === 'string' && /^-?\d{1,20}$/.test(number))
  )
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0

/** null for a name that a download may have on any system. */
export const whyNoName = (name: string): string | null => {
  if (name === '' || name.length > longestName || !name.isWellFormed()) return `it must have 1 to ${longestName} characters`
  if (unfit.test(name)) return 'it can have no slash, no control character and nothing that turns the direction of writing'
  return /^[. ]|[. ]$/.test(name) ? 'it can neither begin nor end with a dot or a blank' : null
}

const unfit = /[/\\\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/

/** The last part of a path, made into a name. */
export const nameFromPath = (path: string): string => {
  const name = path
    .slice(path.lastIndexOf('/') + 1)
    .toWellFormed()
    .replace(new RegExp(unfit, 'g'), '_')
    .replace(/^[. ]+|[. ]+$/g, '')
  // The end says what kind of file it is.
  return name.length > longestName ? name.slice(-longestName).replace(/^[. ]+/, '') : name || 'file'
}
