import { appendFileSync } from 'node:fs'
import { defineAction } from '../../../../app/index.ts'

/** Appends to the file `witness` when its first line ran, on the clock that all processes of a host share. */
export default defineAction({
  isolation: 'resident',
  execute({ params }) {
    const at = process.hrtime.bigint()
    const { witness, name } = params as { witness: string; name: string }
    appendFileSync(witness, `${name} ${at}\n`)
  },
})
