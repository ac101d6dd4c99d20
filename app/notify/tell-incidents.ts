import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Db } from '../store/database.ts'
import { claimDeliveries, countPending, type Delivery, giveUp, letGoOf, noteTold } from '../store/notices.ts'
import type { Channel, Notify } from '../task/notify.ts'
import { composeMessage, composeTest, type Message } from './compose-message.ts'
import { type Answer, postWebhook } from './post-webhook.ts'
import { sendMail } from './send-mail.ts'

export interface TellOptions {
  /** Who sends: `<task> <number>`. */
  claim: string
  /** Others may still happen that belong into the same message. */
  gather: boolean
  /** What cannot be sent now, and was to be told more than an hour ago, is given up. */
  lastTry: boolean
  signal: AbortSignal
  log: (sentence: string) => void
}

export interface Telling {
  ok: boolean
  sentence: string
}

/** Tells all that is to be told by a channel: one message of what is new, and before it what an earlier try left unsent. */
export const tellIncidents = async (db: Db, notify: Notify, channel: Channel, options: TellOptions): Promise<Telling> => {
  const { claim, signal, log } = options
  if (options.gather) await gather(db, channel, notify.gatherMs, signal)
  if (signal.aborted) return { ok: false, sentence: 'It was stopped before anything was sent.' }
  const { deliveries, held } = await claimDeliveries(db, channel, claim, Date.now())
  const answers: Answer[] = []
  let incidents = 0
  for (const delivery of deliveries) {
    const message = composeMessage(delivery.told, notify, { now: Date.now(), hostname: hostname() })
    const answer = await send(notify, channel, delivery.id, message, signal)
    log(`${message.subject}: ${answer.sentence}`)
    answers.push(answer)
    if (answer.ok) {
      incidents += delivery.told.length
      await noteTold(db, delivery, claim, Date.now())
    } else await notSent(db, delivery, options)
  }
  const failed = answers.filter(answer => !answer.ok)
  if (failed.length > 0) return { ok: false, sentence: failed.at(-1)!.sentence }
  if (held > 0) return { ok: false, sentence: `Another process is just sending ${held} of them; it is looked at again.` }
  if (deliveries.length === 0) return { ok: true, sentence: 'Nothing was left to tell.' }
  const what = `${incidents} incident${incidents === 1 ? '' : 's'} in ${deliveries.length} message${deliveries.length === 1 ? '' : 's'}`
  return { ok: true, sentence: `Told ${what}: ${answers.at(-1)!.sentence}` }
}

export const tellTest = async (notify: Notify, channel: Channel, delivery: string, by: string, signal: AbortSignal): Promise<Telling> =>
  send(notify, channel, delivery, composeTest(notify, { now: Date.now(), hostname: hostname(), by }), signal)

const send = ({ webhook, mail }: Notify, channel: Channel, delivery: string, message: Message, signal: AbortSignal): Promise<Answer> =>
  channel === 'webhook' ? postWebhook(webhook!, delivery, message.payload, { signal }) : sendMail(mail!, delivery, message, { signal })

// Longer as long as there is more to tell: whatever fells many loops fells them one after the other.
const gather = async (db: Db, channel: Channel, gatherMs: number, signal: AbortSignal) => {
  let before = -1
  for (let rounds = 0; rounds < mostRounds && !signal.aborted; rounds++) {
    const now = await countPending(db, channel, Date.now())
    if (now === before) return
    before = now
    await delay(gatherMs, undefined, { signal }).catch(() => {})
  }
}
const mostRounds = 7

const notSent = async (db: Db, delivery: Delivery, { claim, lastTry }: TellOptions) => {
  if (lastTry && delivery.since < Date.now() - givenUpAfterMs) await giveUp(db, delivery, claim)
  else await letGoOf(db, delivery, claim)
}
const givenUpAfterMs = 3_600_000
