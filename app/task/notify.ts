import { type QuietHours, quietUntil } from './quiet-hours.ts'

/** What is told of incidents, to whom and how; null where it is not set. */
export interface Notify {
  webhook: Webhook | null
  mail: Mail | null
  language: 'en' | 'zh'
  quiet: QuietHours | null
  /** Of these alone it is told: `shop/poll`, or `shop/*`. Empty: of all. */
  actions: readonly string[]
  /** What happens within so many milliseconds goes into one message. */
  gatherMs: number
  /** Of the panel's pages, as people reach them: `https://panel.example.com/admin`. */
  panelUrl: string
}

export interface Webhook {
  url: string
  /** What signs, as bytes in base64. */
  key: string
  /** Host names and addresses that may be private, and be reached without TLS. */
  allow: readonly string[]
}

export interface Mail {
  /** `smtp://user:password@host:port`, or `smtps:`. */
  smtp: string
  from: string
  to: readonly string[]
}

export const channels = ['webhook', 'mail'] as const
export type Channel = (typeof channels)[number]

/** The action that tells; of its own failures nothing is told, or it would never end. */
export const notifyAction = 'core/notify'

/** Of the one task that tells by a channel. */
export const tellerKey = (channel: Channel): string => `${notifyAction} ${channel}`

export const channelsOf = (notify: Notify): Channel[] => channels.filter(channel => notify[channel] !== null)

/** Whether incidents of an action are told. @param action null: of the installation itself */
export const isTold = ({ actions }: Pick<Notify, 'actions'>, action: string | null): boolean =>
  action !== notifyAction &&
  (action === null ||
    actions.length === 0 ||
    actions.some(told => (told.endsWith('/*') ? action.startsWith(told.slice(0, -1)) : action === told)))

/** When something that happens now is told. */
export const tellAt = ({ quiet }: Pick<Notify, 'quiet'>, at: number): number => (quiet && quietUntil(quiet, at)) ?? at

/**
 * The key of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes.
 * @returns the base64 without its prefix, or null when it is none
 */
export const readWebhookKey = (given: string): string | null => {
  const base64 = given.replace(/^whsec_/, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return null
  const bytes = Math.floor((base64.replace(/=+$/, '').length * 3) / 4)
  return bytes >= 24 && bytes <= 64 ? base64 : null
}

/** One address: `ops@example.com`, or `Ops <ops@example.com>`. Line ends and further addresses are none. */
export const isMailAddress = (given: string): boolean =>
  /^(?:[^<>"(),:;@\\\p{Cc}\u2028\u2029]{0,100}<[^\s<>@,;"()]{1,64}@[^\s<>@,;"()]{1,190}>|[^\s<>@,;"():]{1,64}@[^\s<>@,;"():]{1,190})$/u.test(
    given,
  )
