import { writeSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { messageOf } from '../errors.ts'
import { resolveBgtask } from '../runs/resolve-bgtask.ts'
import { commonJsHint } from '../task/common-js-hint.ts'

/*
 * A program of its own, since to read a commands file that is code is to run it: `node describe-commands.ts <file>` writes what it exports,
 * as JSON, to descriptor 3. What JSON cannot say is none of an entry.
 */
const describe = async (file: string) => {
  resolveBgtask()
  try {
    const module = (await import(pathToFileURL(file).href)) as { default?: unknown }
    return { commands: module.default ?? null }
  } catch (error) {
    const at = error instanceof Error ? error.stack?.split(pathToFileURL(file).href)[1]?.match(/^:(\d+)/)?.[1] : undefined
    return {
      error: `${error instanceof Error ? `${error.name}: ` : ''}${messageOf(error)}${at ? ` (line ${at})` : ''}${commonJsHint(error)}`,
    }
  }
}

writeSync(3, `${JSON.stringify(await describe(process.argv[2]!))}\n`)
process.exit(0) // whatever the file left open
