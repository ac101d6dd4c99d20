import { explainTask } from '../task/explain.ts'
import type { Incident, NoticeEvent } from '../task/incident.ts'
import type { Notify } from '../task/notify.ts'
import { harmless, oneLine } from '../texts/control-characters.ts'
import { translate } from '../texts/translate.ts'

/** What is told of one incident: that it began, that it is over, or both at once. */
export interface Told {
  incident: Incident
  events: readonly NoticeEvent[]
}

/** The same message for every channel. */
export interface Message {
  /** One line. */
  subject: string
  text: string
  html: string
  /** The body of a webhook. */
  payload: object
}

/** Told with all that is known of them; of the others the headings. */
const mostInFull = 10
const mostWithLines = 5
const mostNames = 3

/** @param hostname of the machine that sends it @param now milliseconds since 1970 */
export const composeMessage = (
  all: readonly Told[],
  { language, panelUrl }: Pick<Notify, 'language' | 'panelUrl'>,
  { now, hostname }: { now: number; hostname: string },
): Message => {
  const t = (...[key, values]: [Parameters<typeof translate>[1], Parameters<typeof translate>[2]?]) => translate(language, key, values, now)
  const items = all.map(told => describe(told, panelUrl, t, now))
  const [first] = items
  const names = items.slice(0, mostNames).map(item => item.name)
  const many = t(items.length > mostNames ? 'notify.subject.manyMore' : 'notify.subject.many', {
    n: items.length,
    names: names.join(t('comma')),
    more: items.length - mostNames,
  })
  const subject = `[bgtask] ${items.length === 1 ? first!.heading : many}`
  const shown = items.map((item, index) => ({ ...item, lines: index < mostWithLines ? item.lines : null }))
  const full = shown.slice(0, mostInFull)
  const rest = shown.slice(mostInFull)
  const listed = t('notify.lastLines')
  const text = [
    ...full.map(item =>
      [
        item.heading,
        ...item.sentences,
        item.url,
        ...(item.lines ? ['', `${listed}:`, ...item.lines.split('\n').map(line => `  ${line}`)] : []),
      ].join('\n'),
    ),
    ...(rest.length > 0 ? [rest.map(item => `${item.heading}\n${item.url}`).join('\n')] : []),
    `-- \n${t('notify.sentBy', { host: hostname })}`,
  ].join('\n\n')
  const html = page(language, [
    ...full.map(
      item =>
        `<h2 style="font-size:17px;margin:24px 0 4px"><a href="${escaped(item.url)}">${escaped(item.heading)}</a></h2>` +
        item.sentences.map(sentence => `<p style="margin:4px 0">${escaped(sentence)}</p>`).join('') +
        (item.lines
          ? `<p style="margin:12px 0 4px;color:#666">${escaped(listed)}</p><pre style="font-size:13px;background:#f4f4f4;color:#222;padding:12px;overflow:auto;white-space:pre-wrap">${escaped(item.lines)}</pre>`
          : ''),
    ),
    ...(rest.length > 0
      ? [`<ul>${rest.map(item => `<li><a href="${escaped(item.url)}">${escaped(item.heading)}</a></li>`).join('')}</ul>`]
      : []),
    `<p style="margin-top:24px;color:#666;font-size:13px">${escaped(t('notify.sentBy', { host: hostname }))}</p>`,
  ])
  const payload = {
    type: 'bgtask.incidents',
    timestamp: new Date(now).toISOString(),
    // Chats that take messages by webhook show this.
    text: items.length === 1 ? [first!.heading, ...first!.sentences, first!.url].join('\n') : [many, panelUrl].join('\n'),
    data: {
      host: hostname,
      url: panelUrl,
      incidents: shown.map(({ name: _, heading, sentences, ...item }) => ({ ...item, heading, sentence: sentences.join(' ') })),
    },
  }
  return { subject: oneLine(subject).slice(0, 200), text, html, payload }
}

/** What the test button sends. */
export const composeTest = (
  { language, panelUrl }: Pick<Notify, 'language' | 'panelUrl'>,
  { now, hostname, by }: { now: number; hostname: string; by: string },
): Message => {
  const heading = translate(language, 'notify.test.subject')
  const sentence = translate(language, 'notify.test.text', { by: oneLine(by), host: hostname })
  return {
    subject: `[bgtask] ${heading}`,
    text: `${sentence}\n${panelUrl}`,
    html: page(language, [`<p>${escaped(sentence)}</p><p><a href="${escaped(panelUrl)}">${escaped(panelUrl)}</a></p>`]),
    payload: {
      type: 'bgtask.test',
      timestamp: new Date(now).toISOString(),
      text: `${sentence}\n${panelUrl}`,
      data: { host: hostname, url: panelUrl, by: oneLine(by), incidents: [] },
    },
  }
}

type Translate = (key: Parameters<typeof translate>[1], values?: Parameters<typeof translate>[2]) => string

const describe = ({ incident, events }: Told, panelUrl: string, t: Translate, now: number) => {
  const { id, kind, taskId, action, host, number, openedAt, closedAt, closedHow, count, lastTask, facts } = incident
  // What is over by now is told as over, also when that it began had to wait.
  // A failure is no state that could be over.
  const event = closedAt === null || kind === 'failed' ? 'opened' : events.includes('opened') ? 'over' : 'closed'
  const shownTask = kind === 'failed' && count > 1 ? lastTask : taskId
  const values = { action: oneLine(action ?? ''), id: String(shownTask ?? ''), host: oneLine(facts.hostname ?? host), n: count }
  const name = taskId === null ? values.host : `${values.action} #${values.id}`
  const heading =
    kind === 'failed' ? t(count > 1 ? 'notify.opened.failedMany' : 'notify.opened.failed', values) : t(`notify.${event}.${kind}`, values)
  const lasted =
    event === 'opened'
      ? []
      : [
          t(closedHow === 'stopped' ? 'notify.lastedUntilStopped' : 'notify.lasted', {
            ms: closedAt! - openedAt,
            from: openedAt,
            to: closedAt!,
          }),
        ]
  return {
    id,
    kind,
    event,
    action,
    task: shownTask,
    run: number,
    host,
    openedAt: new Date(openedAt).toISOString(),
    closedAt: closedAt === null ? null : new Date(closedAt).toISOString(),
    count,
    name,
    heading,
    sentences: [...lasted, ...(event === 'closed' ? [] : why(incident, t, now))],
    url: shownTask === null ? panelUrl : `${panelUrl}/core/bgtask/${shownTask}`,
    lines: event === 'closed' || !incident.lines ? null : harmless(incident.lines),
  }
}

/** In the words of the task's page, as things stood then. */
const why = ({ facts, openedAt, closedAt, kind }: Incident, t: Translate, now: number): string[] => {
  if (kind === 'supervisor-gone') return closedAt === null ? [whyGone(facts, openedAt, t)] : []
  if (!facts.task) return []
  const { why, end, cause, next } = explainTask(facts.task, { now, supervisor: 'running', lastRun: facts.lastRun ?? null })
  // What was to come next is history when it is told late.
  const messages = [why, end, cause, closedAt === null && now - openedAt < freshMs ? next : null]
  return messages.flatMap(message => (message ? [oneLine(t(message.key, message.values))] : []))
}
const freshMs = 120_000

const whyGone = ({ hostname, pid, silentSince }: Incident['facts'], openedAt: number, t: Translate) =>
  silentSince === undefined
    ? t('notify.gone', { pid: String(pid ?? '?'), at: openedAt })
    : t('notify.silent', { host: oneLine(hostname ?? '?'), at: silentSince })

const page = (language: string, parts: readonly string[]) =>
  `<!doctype html><html lang="${language}"><head><meta charset="utf-8"></head><body style="font-family:system-ui,sans-serif;font-size:15px;line-height:1.5">${parts.join('')}</body></html>`

const escaped = (text: string): string => text.replace(/[&<>"']/g, found => `&#${found.charCodeAt(0)};`)
