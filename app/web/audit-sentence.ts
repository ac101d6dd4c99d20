import type { AuditEntry } from '../store/audit.ts'
import { en } from '../texts/en.ts'
import type { Language } from '../texts/format.ts'
import { type TextKey, translate } from '../texts/translate.ts'

const family = 'audit.act.'

/** Acts that have a sentence of their own. */
export const auditActs: readonly string[] = Object.keys(en)
  .filter(key => key.startsWith(family))
  .map(key => key.slice(family.length))

/** What an act is called where one is chosen: its sentence, without who and what. */
export const actLabel = (language: Language, act: string): string =>
  translate(language, `audit.act.${act}` as TextKey, { who: '', subject: '…' })
    .replace(/[.。]$/, '')
    .trim()

/** Both the act and its failure, for whoever looks for it. */
export const actAndFailure = (act: string): string[] => (auditActs.includes(`${act}-failed`) ? [act] : [act, `${act}-failed`])

/** The row as a sentence for people. What it holds is plain text, and hostile: it is to be escaped. */
export const auditSentence = (language: Language, entry: Pick<AuditEntry, 'act' | 'userName' | 'via' | 'subject'>): string => {
  const { act, userName, via } = entry
  const who = userName ?? translate(language, nobody[via] ?? 'audit.somebody')
  const subject = entry.subject ?? '–'
  const say = (name: string) => translate(language, `audit.act.${name}` as TextKey, { who, subject })
  if (auditActs.includes(act)) return say(act)
  const failed = /^(.+)-failed$/.exec(act)?.[1]
  if (failed !== undefined && auditActs.includes(failed)) return translate(language, 'audit.failed', { sentence: say(failed) })
  return translate(language, 'audit.unknownAct', { who, act, subject })
}

const nobody: Partial<Record<AuditEntry['via'], TextKey>> = { panel: 'audit.thePanel', supervisor: 'audit.theSupervisor' }

/** By which kind of request, in words. */
export const viaWords = (language: Language, via: AuditEntry['via']): string => {
  const key = `audit.via.${via}`
  return key in en ? translate(language, key as TextKey) : via
}
