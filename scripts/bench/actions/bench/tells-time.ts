import { type Context, execForeverInterval } from '../../../../app/index.ts'

/** Prints when it printed, so that a reader can tell how long the line took. */
export const execute = ({ params }: Context<{ intervalMs: number }>) =>
  execForeverInterval(() => console.log(`printed ${Date.now()}`), params.intervalMs)
