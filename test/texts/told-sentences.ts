import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The keys of all sentences that the code tells: told`…` with {0}, {1} … where the values stand. */
export const toldSentences = (folder: string): Set<string> =>
  new Set(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter(path => path.endsWith('.ts'))
      .flatMap(path => keysIn(readFileSync(join(folder, path), 'utf8'))),
  )

const keysIn = (code: string): string[] => {
  const keys: string[] = []
  for (const found of code.matchAll(/(?<![\w`])told`/g)) keys.push(readTemplate(code, found.index + found[0].length).key)
  return keys
}

/** @param from behind the first backtick */
const readTemplate = (code: string, from: number): { key: string; end: number } => {
  let key = ''
  let values = 0
  for (let at = from; at < code.length; ) {
    if (code[at] === '`') return { key, end: at + 1 }
    if (code.startsWith('${', at)) {
      key += `{${values++}}`
      at = endOfValue(code, at + 2)
    } else {
      const length = code[at] === '\\' ? 2 : 1
      key += code[at + length - 1]
      at += length
    }
  }
  throw new Error(`A template that begins at ${from} does not end.`)
}

/** Values hold strings and templates of their own, which may hold braces. */
const endOfValue = (code: string, from: number): number => {
  let depth = 1
  for (let at = from; at < code.length; ) {
    if (code[at] === '`') at = readTemplate(code, at + 1).end
    else if (code[at] === "'" || code[at] === '"') at = code.indexOf(code[at]!, at + 1) + 1
    else {
      if (code[at] === '{') depth++
      if (code[at] === '}' && --depth === 0) return at + 1
      at++
    }
  }
  throw new Error(`A value that begins at ${from} does not end.`)
}
