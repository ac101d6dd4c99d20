import type { Message } from '../task/explain.ts'
import { harmless, oneLine } from '../texts/control-characters.ts'
import { formatBytes, formatDuration, formatExact, formatNumber, type Language } from '../texts/format.ts'
import { auditNote, stored } from '../texts/stored.ts'
import { type TextKey, type TextValues, translate } from '../texts/translate.ts'
import { auditSentence } from './audit-sentence.ts'
import type { PostMortem } from './post-mortem.ts'

/** The same as the page, as Markdown: to be sent to whoever has to mend it, or laid beside a ticket. What others wrote cannot pass for ours in it. */
export const postMortemFile = (language: Language, model: PostMortem): string => {
  const { task, run, end, cause, exit, good, changes, charts, output, audit } = model
  const t = (key: TextKey, values?: TextValues) => translate(language, key, values)
  const say = (message: Message | null) => (message ? t(message.key as TextKey, inWords(language, message.values)) : '')
  const exact = (at: number) => formatExact(language, at)
  const orDash = <T>(value: T | null, show: (value: T) => string) => (value === null ? '–' : show(value))
  const bytes = (value: number) => formatBytes(language, value)

  const facts: [string, string][] = [
    [t('postMortem.exit'), say(exit)],
    [t('field.began'), exact(run.startedAt)],
    [t('postMortem.endedAt'), orDash(run.endedAt, exact)],
    [t('field.took'), orDash(run.endedAt, at => formatDuration(language, at - run.startedAt))],
    [t('field.iterations'), orDash(run.iterations, value => formatNumber(language, value))],
    [t('postMortem.peak'), orDash(run.peakMemoryBytes, bytes)],
    ['CPU', orDash(run.cpuMs, value => formatDuration(language, value))],
    [t('field.output'), orDash(run.outputBytes, bytes)],
    [t('field.process'), orDash(run.pid, String)],
    [t('postMortem.host'), run.host],
  ]
  return [
    `# ${t('postMortem.heading', { action: task.action, id: String(task.id), number: String(run.number) })}`,
    marked([say(end), say(cause)].filter(Boolean).join(' ')),
    facts.map(([name, value]) => `- ${name}: ${marked(value)}`).join('\n'),
    `## ${t('postMortem.changes')}`,
    good === null
      ? t('postMortem.noGood')
      : t('postMortem.since', { id: String(good.taskId), number: String(good.number), at: good.endedAt ?? run.startedAt }),
    ...(good === null ? [] : [changesText(t, changes)]),
    `## ${t('postMortem.curve')}`,
    charts === null
      ? t(task.execType === 'ONCE' ? 'postMortem.noCurveOnce' : model.isShort ? 'postMortem.noCurveShort' : 'postMortem.noCurve')
      : table(
          [t('postMortem.from'), t('charts.memory'), t('charts.cpu'), t('field.iterations')],
          charts.figures.map(({ at, memoryBytes, cpuPercent, iterations }) => [
            ...[exact(at), orDash(memoryBytes, bytes), `${formatNumber(language, cpuPercent)} %`, formatNumber(language, iterations)],
          ]),
        ),
    `## ${t('postMortem.audit')}`,
    audit.length === 0
      ? t('postMortem.noAudit')
      : audit
          .map(
            row =>
              `- ${exact(row.at)}: ${marked([auditSentence(language, row), row.detail && auditNote(language, row.detail)].filter(Boolean).join(' '))}`,
          )
          .join('\n'),
    ...(run.error === null ? [] : [`## ${t('postMortem.error')}`, fenced(harmless(stored(language, run.error)))]),
    `## ${t('postMortem.output')}`,
    output.lines === 0 ? t(`postMortem.output.${output.is}`) : fenced(output.text),
    '',
  ].join('\n\n')
}

const changesText = (t: (key: TextKey, values?: TextValues) => string, changes: PostMortem['changes']) => {
  if (changes === null) return t('postMortem.unknownChanges')
  if (changes.length === 0) return t('postMortem.noChanges')
  return changes
    .map(({ what, name, before, after }) => {
      const subject = [t(`postMortem.what.${what}`), name].filter(Boolean).join(' ')
      return `- ${marked(`${subject}: ${before ?? '–'} → ${after ?? '–'}`)}`
    })
    .join('\n')
}

const inWords = (language: Language, values: Message['values']) =>
  typeof values.detail === 'string' ? { ...values, detail: stored(language, values.detail) } : values

/** On one line, and with nothing in it that Markdown would take for a sign of its own. */
const marked = (text: string) => oneLine(text).replace(/[\\`*_[\]<>#|~]/g, '\\$&')

/** A fence that is longer than any in the text. */
const fenced = (text: string) => {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}\n${text}\n${fence}`
}

const table = (titles: string[], rows: string[][]) =>
  [titles, titles.map(() => '---'), ...rows].map(cells => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')
