/** How bad a line of output is, the worst first. */
export const outputLevels = ['error', 'warn', 'info'] as const
export type OutputLevel = (typeof outputLevels)[number]

/**
 * What a line of a level looks like, as regular expressions without flags: the panel searches with them, and so does the script of its pages.
 * Of a line only the first `levelLength` characters are looked at.
 */
export const levelPatterns: Readonly<Record<OutputLevel, string>> = {
  error: String.raw`\b(?:ERROR|FATAL|CRITICAL|PANIC)\b|^\s{0,20}\[?(?:error|fatal|panic)\]?:?\s|^[\s\w.()]{0,60}(?:Error|Exception)(?: \[\w{1,40}\])?:|"level":\s?(?:"error"|"fatal"|50\b|60\b)|\blevel=(?:error|fatal)\b`,
  warn: String.raw`\bWARN(?:ING)?\b|^\s{0,20}\[?warn(?:ing)?\]?:?\s|^[\s\w.():]{0,60}Warning:|"level":\s?(?:"warn"|40\b)|\blevel=warn`,
  info: String.raw`\bINFO\b|^\s{0,20}\[?info\]?:?\s|"level":\s?(?:"info"|30\b)|\blevel=info\b`,
}

/** A line of `ctx.log` says its level itself, whatever words it has besides. */
export const ownLevelPattern: string = String.raw`^\d{4}-\d\d-\d\dT[\d:.]{8,15}Z (INFO|WARN|ERROR) `

export const levelLength = 200

/** @param line as it is read, without colours. @returns null: it says nothing of how bad it is */
export const levelOf = (line: string): OutputLevel | null => {
  const beginning = line.slice(0, levelLength)
  const own = ownLevel.exec(beginning)?.[1]
  if (own !== undefined) return own.toLowerCase() as OutputLevel
  return outputLevels.find(level => patterns[level].test(beginning)) ?? null
}

/** Whether a line is as bad as `level`, or worse. */
export const isAtLeast = (line: string, level: OutputLevel): boolean => {
  const own = levelOf(line)
  return own !== null && outputLevels.indexOf(own) <= outputLevels.indexOf(level)
}

const ownLevel = new RegExp(ownLevelPattern)
const patterns = { error: new RegExp(levelPatterns.error), warn: new RegExp(levelPatterns.warn), info: new RegExp(levelPatterns.info) }
