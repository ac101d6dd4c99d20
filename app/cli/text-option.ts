import { text } from '../api/check-options.ts'
import { asUsage } from './as-usage.ts'

/** Texts that a task has, by the names of their options, and how long they may be. */
const lengths = { '--unique': [1, 255], '--type': [0, 64], '--creator': [0, 64], '--action': [1, 128] } as const

/** @throws BgtaskError `usage` */
export const textOption = (name: keyof typeof lengths, given: string): string => {
  const [least, most] = lengths[name]
  return asUsage(() => text(name, given, least, most))
}
