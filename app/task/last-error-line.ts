/**
 * The line by which a program that printed why it fails most likely says so: the last one that names an error.
 * @returns at most 300 characters; null when no line looks so
 */
export const lastErrorLine = (output: string): string | null => {
  const lines = output.slice(-readAtMost).split('\n').slice(-mostLines)
  const line = (lines.findLast(isMessage) ?? lines.findLast(mayBeMessage))?.trim()
  return line ? line.slice(0, 300).toWellFormed() : null
}

const readAtMost = 16_384
const mostLines = 100

/** `TypeError: …`, `Error [ERR_X]: …`, also behind a time or a level. */
const isMessage = (line: string): boolean => /\b(?:[A-Z]\w*)?(?:Error|Exception)(?: \[\w+\])?: \S/.test(line) && !isOfStack(line)
const mayBeMessage = (line: string): boolean =>
  /\bE[A-Z]{4,}\b|\b(?:error|fatal|panic|cannot|failed|refused|denied)\b/i.test(line) && !isOfStack(line)
// `at …` of a stack, and the properties of an error as Node shows them.
const isOfStack = (line: string): boolean => /^\s+at |^\s+(?:errno|code|syscall|address|port|path|cause):? /.test(line)
