import type { TestContext } from 'node:test'
import { type ListeningPanel, listenPanel, type SignedIn } from './listening-panel.ts'

/** A listening panel that ends with the test. */
export const openPanel = async (t: TestContext, options?: Parameters<typeof listenPanel>[0]): Promise<ListeningPanel> => {
  const panel = await listenPanel(options)
  t.after(() => panel.close())
  return panel
}

/** Lets it be so long ago that the password was given in this session. */
export const ageProof = (panel: ListeningPanel, { hash }: Pick<SignedIn, 'hash'>, ms: number): void => {
  panel.sql("UPDATE bg_session SET data = json_set(data, '$.provedAt', json_extract(data, '$.provedAt') - ?) WHERE id_hash = ?", ms, hash)
}

/** All failures were a minute from now, so that a test on a slow machine does not sit out a delay of a second by accident. */
export const holdStill = (panel: ListeningPanel): void => {
  panel.sql("UPDATE bg_login_failure SET last_at = last_at + 60000 WHERE subject NOT LIKE 'all:%'")
}
