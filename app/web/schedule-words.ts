import type { DueRule } from '../task/schedule.ts'
import { formatDuration, type Language } from '../texts/format.ts'
import { translate } from '../texts/translate.ts'

/** Tells a rule in words: "At 02:30, Monday through Friday"; null when there are none for it. */
export type TellRule = (language: Language, rule: DueRule) => string | null

/** Loaded when the first page asks: nobody else needs it. */
export const loadRuleWords = async (): Promise<TellRule> => {
  const { default: cronstrue } = await import('cronstrue')
  await import('cronstrue/locales/zh_CN.js')
  return (language, rule) => {
    if ('everyMs' in rule) return translate(language, 'schedules.every', { interval: formatDuration(language, rule.everyMs) })
    try {
      const words = cronstrue.toString(rule.cron, { locale: language === 'zh' ? 'zh_CN' : 'en', use24HourTimeFormat: true })
      return language === 'zh'
        ? words
            .replaceAll(/,\s*/g, '，')
            .replaceAll(/\s{2,}/g, ' ')
            .replaceAll(/(?<=\p{Script=Han}) (?=\p{Script=Han})/gu, '')
            .replace(/^在(?=\d)/, '在 ')
        : words
    } catch {
      // It knows a little less than what we take; the next times say it as well.
      return null
    }
  }
}
