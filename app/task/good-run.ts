import { isBadEnd } from './outcome.ts'
import { restartPolicy } from './restart-policy.ts'
import type { Run } from './run.ts'

type Lived = Pick<Run, 'outcome' | 'startedAt' | 'endedAt'>

/**
 * Whether a run shows how all was well before another one ended. One that ran for long, and far longer, was good however it ended: of a crash after ten
 * days the code is not what was wrong all the time. One that ended badly after about as long is an example of the same trouble.
 */
export const isGoodBefore = (earlier: Lived, later: Lived): boolean => {
  if (earlier.outcome === null) return false
  if (!isBadEnd(earlier.outcome)) return true
  const livedMs = lifeMs(earlier)
  return livedMs >= restartPolicy.healthyMs && livedMs >= farLonger * lifeMs(later)
}

const farLonger = 10
const lifeMs = ({ startedAt, endedAt }: Lived) => (endedAt ?? startedAt) - startedAt
