import { readFileSync, writeFileSync } from 'node:fs'
import { runProgram } from '../../app/cli/program.ts'
import { BgtaskError } from '../../app/errors.ts'

/** `node type-all.ts <in> <out>`: calls each of many commands one after the other in one process, and tells how each ended. */
export interface Typed {
  code: number | null
  /** All that was written. */
  said: string
}

const [from, to] = process.argv.slice(2)
let said = ''
for (const stream of [process.stdout, process.stderr])
  stream.write = (text: string | Uint8Array) => {
    said += String(text)
    return true
  }
const typed: Typed[] = []
for (const args of JSON.parse(readFileSync(from!, 'utf8')) as string[][]) {
  said = ''
  try {
    typed.push({ code: await runProgram(args), said: said.trimEnd() })
  } catch (error) {
    if (!(error instanceof BgtaskError)) throw error
    typed.push({ code: error.exitCode, said: error.message })
  }
}
writeFileSync(to!, JSON.stringify(typed))
