// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { closeSync, fchownSync, fstatSync, openSync, readSync, writeSync } = process.getBuiltinModule('node:fs')

/*
 * A run of another user can open nothing below the runtime folder, and owns nothing there: neither could it read what is not its own, nor lay a
 * link where we write. What it needs it is handed as open files, by their descriptors.
 */
export interface HandedFiles {
  /** To be read. */
  ticket: number
  /** To be written over. */
  beat: number
  /** To be written once: how it ended. It counts when the process has ended and nobody else has said so before. */
  said: number
  /** To be read: empty until it is asked to stop. */
  stop: number
  /** To be added to: what the action asks to hide. */
  secrets: number
  /** To be written over: the files that it declares to have made. */
  artifacts: number
  /** To be read, if the action says `database: true`. */
  databaseUrl: number | null
}

/** Number of the first of them in the run, which they stand beside in this order; the descriptors before it are output, lock and readiness. */
export const firstHanded = 5
/** All but the last, which not every run gets. */
const always = 6
const variable = 'BGTASK_HANDED_FILES'

/** Opens them for a run that is about to be started. The caller closes them when it has been. */
export const openHandedFiles = (
  paths: { ticket: string; beat: string; said: string; stop: string; secrets: string; artifacts: string },
  databaseUrl: string | null,
): { descriptors: number[]; variables: NodeJS.ProcessEnv; close(): void } => {
  const descriptors: number[] = []
  const close = () => {
    for (const descriptor of descriptors) closeSync(descriptor)
  }
  try {
    descriptors.push(openSync(paths.ticket, 'r'), openSync(paths.beat, 'w', 0o600), openSync(paths.said, 'w', 0o600))
    closeSync(openSync(paths.stop, 'w', 0o600))
    descriptors.push(openSync(paths.stop, 'r'), openSync(paths.secrets, 'a', 0o600), openSync(paths.artifacts, 'w', 0o600))
    if (databaseUrl !== null) descriptors.push(openSync(databaseUrl, 'r'))
  } catch (error) {
    close()
    throw error
  }
  return { descriptors, variables: { [variable]: String(descriptors.length) }, close }
}

/** In the run: what it was handed; null when it is a run of our own user. What it starts itself is not told of them. */
export const handedFiles = (): HandedFiles | null => {
  const count = Number(process.env[variable] ?? 0)
  delete process.env[variable]
  if (count === 0) return null
  const [ticket, beat, said, stop, secrets, artifacts] = Array.from({ length: always }, (_, index) => firstHanded + index) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  return { ticket, beat, said, stop, secrets, artifacts, databaseUrl: count > always ? firstHanded + always : null }
}

/** Lets another user open its own output again by /dev/stdout and /dev/stderr, as programs do. It can reach the file in no other way. */
export const giveOutput = (descriptor: number, { uid, gid }: { uid: number; gid: number }): void => fchownSync(descriptor, uid, gid)

export const readHanded = (descriptor: number): string => {
  const buffer = Buffer.alloc(fstatSync(descriptor).size)
  return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, 0))
}

/** Writes over what is there, padded with spaces so that a shorter text leaves nothing of a longer one. */
export const writeHanded = (descriptor: number, text: string): void => {
  const bytes = Buffer.from(text)
  const length = Math.max(fstatSync(descriptor).size, Math.ceil((bytes.length + 1) / paddedBytes) * paddedBytes)
  const padded = Buffer.alloc(length, ' ')
  bytes.copy(padded)
  padded[length - 1] = 10
  for (let written = 0; written < length; ) written += writeSync(descriptor, padded, written, length - written, written)
}

const paddedBytes = 4_096
