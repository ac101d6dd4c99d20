import type { Redactor } from '../secrets/redactor.ts'
import { harmless } from '../texts/control-characters.ts'
import { readShownOutput } from './read-shown-output.ts'

/** The last lines that a run has printed, as a message can hold them: without secrets, and without what steers a terminal. */
export const lastLines = (folder: string, redactor: () => Redactor): string => {
  const { text } = readShownOutput(folder, redactor, { maxBytes: readBytes, ended: true })
  const lines = harmless(text).trimEnd().split('\n').slice(-mostLines)
  return lines.map(line => (line.length > longestLine ? `${line.slice(0, longestLine)}…` : line)).join('\n')
}

const readBytes = 16_384
const mostLines = 20
const longestLine = 300
