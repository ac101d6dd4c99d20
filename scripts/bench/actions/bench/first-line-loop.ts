import { type Context, execForeverInterval } from '../../../../app/index.ts'

/** A loop each of whose runs leaves `<pid> <monotonic ns of its first line>` in a file of its own, `<witness>-<number>`. */
export const execute = ({ params, run }: Context<{ witness: string }>) => {
  const at = process.hrtime.bigint()
  const path = `${params.witness}-${run.number}`
  const { renameSync, writeFileSync } = process.getBuiltinModule('node:fs')
  writeFileSync(`${path}.tmp`, `${process.pid} ${at}`)
  renameSync(`${path}.tmp`, path)
  return execForeverInterval(() => {}, 5_000)
}
