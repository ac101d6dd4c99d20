import { createHash } from 'node:crypto'
import { coversScope } from '../../api/scopes.ts'
import type { CheckedToken } from '../../api/tokens.ts'
import type { Token } from '../../store/tokens.ts'

/** How long a token that was good is remembered after it was last looked up. */
const rememberedForMs = 3_600_000
const most = 100
/** For one that is remembered nobody waits longer for a database that does not answer. */
const patienceMs = 1_500

/**
 * Tokens lie in the database; and when that is away, the metrics are wanted most. So for them alone, a token that was good within the last hour is
 * taken for good while it cannot be looked up. Only its hash is kept, in memory.
 */
export const createKnownScrapers = () => {
  const known = new Map<string, { token: Token; at: number }>()
  const recall = (key: string): Token | null => {
    const found = known.get(key)
    if (!found || performance.now() - found.at > rememberedForMs) return null
    return found.token.expiresAt === null || found.token.expiresAt > Date.now() ? found.token : null
  }
  return {
    /** @param look looks the token up @returns what that says; while it cannot, what it said before */
    async check(given: string, look: () => Promise<CheckedToken>): Promise<CheckedToken & { isRecalled?: true }> {
      const key = createHash('sha256').update(given).digest('base64')
      const token = recall(key)
      const looking = look()
      try {
        const checked = await (token ? Promise.race([looking, tooLate()]) : looking)
        known.delete(key)
        if (checked.token && coversScope(checked.token.scopes, { kind: 'metrics:read' })) {
          if (known.size >= most) known.delete(known.keys().next().value!)
          known.set(key, { token: checked.token, at: performance.now() })
        }
        return checked
      } catch (error) {
        looking.catch(() => undefined)
        if (!token) throw error
        return { token, refused: null, isRecalled: true }
      }
    },
  }
}

const tooLate = () =>
  new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('the token could not be looked up in time')), patienceMs).unref()
  })
