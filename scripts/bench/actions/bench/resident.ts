import { defineAction } from '../../../../app/index.ts'

/** Does nothing, in a resident runner. */
export default defineAction({ isolation: 'resident', concurrency: 100, execute() {} })
