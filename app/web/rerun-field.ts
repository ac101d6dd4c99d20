/** Whether a run that died is run again, as a form says it: a box without its mark is not sent, so that a field beside it tells that it was there. */
export const rerunFields = ({ rerunAfterCrash }: { rerunAfterCrash: boolean }): Record<string, string> => ({
  rerun_asked: 'on',
  ...(rerunAfterCrash ? { rerun: 'on' } : {}),
})

/** @returns undefined when it was not asked */
export const readRerun = (fields: Readonly<Record<string, string>>): boolean | undefined =>
  fields.rerun_asked === undefined ? undefined : fields.rerun !== undefined
