import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Panel } from './panel.ts'

/** What a link carries that stops the loop once: it names the life that it is for, so it says nothing to the next one. */
export const stopToken = ({ secret }: Pick<Panel, 'secret'>, epoch: string): string =>
  createHmac('sha256', secret).update(`restart${epoch}`).digest('base64url')

/** @param given hostile */
export const isStopToken = (panel: Pick<Panel, 'secret'>, epoch: string, given: string): boolean => {
  const expected = Buffer.from(stopToken(panel, epoch))
  const got = Buffer.from(given)
  return got.length === expected.length && timingSafeEqual(got, expected)
}
