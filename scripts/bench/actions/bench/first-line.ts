/** Leaves in the file `witness` when its first line ran, on the clock that all processes of a host share. */
export const execute = ({ params }: { params: { witness: string } }) => {
  const at = process.hrtime.bigint()
  process.getBuiltinModule('node:fs').writeFileSync(params.witness, String(at))
}
