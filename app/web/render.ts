import { Eta } from 'eta'
import { BgtaskError } from '../errors.ts'
import { inPackage, ourCommand } from '../paths.ts'
import { type CauseKey, causeOf } from '../task/cause.ts'
import { type EndKey, explainEnd, explainLateness, type LateKey, type Message } from '../task/explain.ts'
import { isBadEnd } from '../task/outcome.ts'
import type { Run } from '../task/run.ts'
import type { Task } from '../task/task.ts'
import type { ToldValue } from '../task/told.ts'
import {
  formatBytes,
  formatDuration,
  formatExact,
  formatNumber,
  formatPercent,
  formatRelative,
  type Language,
  languages,
} from '../texts/format.ts'
import { stored } from '../texts/stored.ts'
import { type TextKey, type TextValues, translate, translateParts } from '../texts/translate.ts'
import type { Addresses } from './addresses.ts'
import type { Assets } from './assets.ts'
import { type SignedIn, type Theme, type TimeForm, themes } from './panel.ts'
import { mayAct, type Role } from './roles.ts'

/** What the reader brings along. */
export interface Reader {
  language: Language
  theme: Theme
  times: TimeForm
  user: SignedIn | null
}

export interface Pages {
  /** A whole page, or a part of one: `views/<view>.eta` with the model and the words of the reader's language. */
  render(view: string, reader: Reader, model: object): string
}

/**
 * Built once: templates are compiled at their first use and kept. What a template gets is a view model made here, never a request.
 * @param options.root every address of the panel begins with it, as `it.root`; what stands beside the panel with `it.top`
 * @param options.isOpen every page warns that others can reach the panel without TLS. Default false
 */
export const createPages = (
  assets: Assets,
  { isOpen = false, now = Date.now, ...addresses }: Addresses & { isOpen?: boolean; now?: () => number },
): Pages => {
  const eta = new Eta({ views: inPackage('views'), cache: true, autoTrim: ['nl', 'nl'] })
  return {
    render: (view, reader, model) =>
      eta.render(`./${view}`, { ...viewWords(assets, addresses, reader, now()), ...model, isOpenToNetwork: isOpen }),
  }
}

/** Everything a template can say. What returns HTML is called raw (`<%~`), and escapes what it is given; test/web/views.test.ts lists these. */
const viewWords = (assets: Assets, { root, top }: Addresses, { language, theme, times, user }: Reader, now: number) => {
  const text = (key: TextKey, values?: TextValues) => translate(language, key, values, now)
  const time = (at: number | null | undefined, form: TimeForm = times) => timeTag(language, at, now, form)
  const sentence = (message: Message | null) => (message ? sentenceHtml(root, { language, times }, message, now) : '')
  return {
    root,
    top,
    ourCommand,
    now,
    language,
    languages,
    theme,
    themes,
    times,
    user,
    mayAct: (role: Role) => mayAct(user?.role, role),
    asset: assets.href,
    t: text,
    /** What was made or stored where nobody knew the language: sentences of ours in the reader's, all else as it is. */
    tell: (text: ToldValue) => stored(language, text),
    /** HTML */ time,
    /** HTML */ sentence,
    /** HTML */ icon: (name: string, label?: string) => iconTag(assets, name, label),
    endOf: (run: Run, task?: Task): Message<EndKey> => explainEnd(run, task),
    isBadRun: (run: Run) => run.outcome !== null && isBadEnd(run.outcome),
    causeOf: (run: Run): Message<CauseKey> | null => causeOf(run),
    lateness: (run: Run): Message<LateKey> | null => explainLateness(run),
    actIcon: (noun: string) => actIcons[noun] ?? 'play',
    roleIcon: (role: Role) => roleIcons[role],
    number: (value: number) => formatNumber(language, value),
    /** Of a part from 0 to 1; 100 % only when it is all. */
    percent: (part: number) => formatPercent(language, Math.floor(part * 1_000) / 10),
    duration: (ms: number | null | undefined) => (ms === null || ms === undefined ? '–' : formatDuration(language, ms)),
    bytes: (bytes: number | null | undefined) => (bytes === null || bytes === undefined ? '–' : formatBytes(language, bytes)),
    stateIcon: (state: Task['state']) => stateIcons[state],
    tone: (state: Task['state']) => stateTones[state],
    outcomeTone: (run: Run) => outcomeTone(run),
    outcomeIcon: (run: Run) => outcomeIcons[outcomeTone(run)],
    short,
    /** For a list: all of what it said is on the page of the task. */
    shortEnd: ({ key, values }: Message<EndKey>): Message<EndKey> =>
      typeof values.detail === 'string' ? { key, values: { ...values, detail: short(values.detail, 200) } } : { key, values },
  }
}

const short = (value: string, most: number) => (value.length > most ? `${value.slice(0, most - 1)}…` : value)

/** Escapes text for HTML. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)

const timeTag = (language: Language, at: number | null | undefined, now: number, form: TimeForm) => {
  if (at === null || at === undefined) return '–'
  if (!Number.isFinite(new Date(at).getTime())) throw new BgtaskError('failed', `${at} is no time.`)
  const exact = formatExact(language, at)
  const shown = form === 'relative' ? formatRelative(language, at, now) : exact
  return `<time datetime="${new Date(at).toISOString()}" title="${escapeHtml(exact)}" data-form="${form}">${escapeHtml(shown)}</time>`
}

const sentenceHtml = (root: string, { language, times }: Pick<Reader, 'language' | 'times'>, message: Message, now: number) =>
  translateParts(language, message.key as TextKey, inWords(language, message.values))
    .map(part => {
      if (typeof part === 'string') return escapeHtml(part)
      return 'task' in part ? taskLink(root, part.task) : timeTag(language, part.at, now, part.exact ? 'exact' : times)
    })
    .join('')

// What a run or a supervisor has noted, as it was stored.
const inWords = (language: Language, values: Message['values']) =>
  typeof values.detail === 'string' ? { ...values, detail: stored(language, values.detail) } : values

const taskLink = (root: string, id: string) =>
  /^\d{1,16}$/.test(id) ? `<a href="${root}/core/bgtask/${id}">#${id}</a>` : `#${escapeHtml(id)}`

const iconTag = (assets: Assets, name: string, label?: string) => {
  const said = label === undefined ? 'aria-hidden="true"' : `role="img" aria-label="${escapeHtml(label)}"`
  return `<svg class="icon" ${said} width="16" height="16"><use href="${assets.href('icons.svg')}#${name}"></use></svg>`
}

/** Colours by meaning; never alone: each state also has its icon and its word. */
type Tone = 'good' | 'busy' | 'waiting' | 'warn' | 'bad' | 'off'

const stateTones = {
  waiting: 'waiting',
  running: 'busy',
  succeeded: 'good',
  failed: 'bad',
  cancelled: 'off',
  stopped: 'off',
  starting: 'waiting',
  stalled: 'warn',
  'backing-off': 'warn',
  tripped: 'bad',
  stopping: 'waiting',
} as const satisfies Record<Task['state'], Tone>

const stateIcons = {
  waiting: 'clock',
  running: 'activity',
  succeeded: 'circle-check',
  failed: 'circle-x',
  cancelled: 'ban',
  stopped: 'circle-stop',
  starting: 'loader-circle',
  stalled: 'hourglass',
  'backing-off': 'timer-reset',
  tripped: 'octagon-alert',
  stopping: 'loader-circle',
} as const satisfies Record<Task['state'], string>

const actIcons: Record<string, string> = {
  start: 'play',
  stop: 'square',
  restart: 'rotate-cw',
  run: 'fast-forward',
  retry: 'rotate-cw',
  return: 'undo-2',
  cancellation: 'ban',
  move: 'calendar-clock',
  deletion: 'trash-2',
}

const roleIcons = { viewer: 'eye', operator: 'wrench', admin: 'shield' } as const satisfies Record<Role, string>

const outcomeTone = (run: Run): Tone => {
  if (run.outcome === null) return 'busy'
  if (run.outcome === 'succeeded') return 'good'
  return run.outcome === 'interrupted' || run.outcome === 'cancelled' ? 'off' : 'bad'
}
const outcomeIcons: Record<Tone, string> = {
  good: 'circle-check',
  busy: 'activity',
  off: 'ban',
  bad: 'circle-x',
  warn: 'triangle-alert',
  waiting: 'clock',
}
