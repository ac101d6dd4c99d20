import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { type AuditChainState, type AuditEntry, type AuditFilter, checkAuditChain, listAudit } from '../store/audit.ts'
import type { Db } from '../store/database.ts'
import { listUsers } from '../store/users.ts'
import type { Language } from '../texts/format.ts'
import { auditNote } from '../texts/stored.ts'
import { type TextKey, translate } from '../texts/translate.ts'
import { csvLine } from './audit-csv.ts'
import { actAndFailure, actLabel, auditActs, auditSentence, viaWords } from './audit-sentence.ts'
import { fieldsOf } from './fields.ts'
import type { Panel } from './panel.ts'
import { parseTaskId } from './task-id.ts'

const pageSize = 50
const path = '/reports/audit'

/** What people did: a page of rows, the same as CSV, and whether the table is as it was written. */
export const registerAudit = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background
  const at = `${panel.root}${path}`

  app.get(path, async (request, reply) => {
    const asked = readFilter(request.query)
    const { rows, newer, older } = asked.wrongDate === null ? await readPage(db, asked.filter, request.query) : emptyPage
    const say = (key: TextKey, values?: Record<string, string | number>) => translate(request.language, key, values)
    const model = {
      chosen: asked.chosen,
      filtered: Object.keys(asked.given).length > 0,
      problem: asked.wrongDate === null ? null : say('audit.wrongDate', { given: asked.wrongDate }),
      days: panel.config.keepAuditDays,
      rows: rows.map(row => rowModel(request.language, row)),
      users: (await listUsers(db)).map(({ name }) => name),
      acts: auditActs.map(act => ({ act, label: actLabel(request.language, act) })),
      newer: newer === null ? null : address(at, { ...asked.given, after: String(newer) }),
      older: older === null ? null : address(at, { ...asked.given, before: String(older) }),
      csvPath: address(`${at}.csv`, asked.given),
    }
    return reply.page('audit', model, asked.wrongDate === null ? 200 : 422)
  })

  app.get(`${path}.csv`, async (request, reply) => {
    const { filter, wrongDate } = readFilter(request.query)
    if (wrongDate !== null) return reply.redirect(address(at, fieldsOf(request.query)), 303)
    reply.header('content-disposition', `attachment; filename="audit-${new Date().toISOString().slice(0, 10)}.csv"`)
    return reply.type('text/csv; charset=utf-8; header=present').send(Readable.from(csvOf(db, filter), { objectMode: false }))
  })

  const check = shared(() => checkAuditChain(db))
  app.get(`${path}/chain`, async (_request, reply) => {
    const began = performance.now()
    const state: AuditChainState = await check()
    return reply.page('audit-chain', { state, tookMs: performance.now() - began })
  })
}

interface Asked {
  filter: AuditFilter
  /** What is given, for the fields of the form. */
  chosen: Record<(typeof fields)[number], string>
  /** The same without what is empty, for addresses. */
  given: Record<string, string>
  wrongDate: string | null
}

const fields = ['user', 'act', 'subject', 'from', 'to'] as const
const dayMs = 86_400_000

/** @param query user, act, subject, from and to (days in UTC, both included); all of it may be anything */
const readFilter = (query: unknown): Asked => {
  const asked = fieldsOf(query)
  const text = (name: (typeof fields)[number]) => (asked[name] ?? '').trim().slice(0, 255)
  const chosen = Object.fromEntries(fields.map(name => [name, text(name)])) as Asked['chosen']
  const given = Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== ''))
  const since = dayOf(chosen.from)
  const until = dayOf(chosen.to)
  const filter: AuditFilter = {
    ...(chosen.user ? { userName: chosen.user } : {}),
    ...(chosen.act ? { act: actAndFailure(chosen.act) } : {}),
    ...(chosen.subject ? { subject: chosen.subject } : {}),
    ...(since === null ? {} : { since }),
    ...(until === null ? {} : { until: until + dayMs }),
  }
  const wrong = [chosen.from, chosen.to].find((day, index) => day !== '' && [since, until][index] === null)
  return { filter, chosen, given, wrongDate: wrong === undefined ? null : wrong.slice(0, 60) }
}

const dayOf = (text: string): number | null => {
  const at = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  // 2026-02-31 is taken for the third of March.
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== text ? null : at
}

interface Page {
  rows: AuditEntry[]
  /** What to give as `after` for the page of newer ones, as `before` for that of older ones; null where there is none. */
  newer: number | null
  older: number | null
}

const emptyPage: Page = { rows: [], newer: null, older: null }

const readPage = async (db: Db, filter: AuditFilter, query: unknown): Promise<Page> => {
  const asked = fieldsOf(query)
  const before = parseTaskId(asked.before ?? '')
  const after = before === null ? parseTaskId(asked.after ?? '') : null
  const cursor = before !== null ? { before } : after !== null ? { after } : {}
  const found = await listAudit(db, { ...filter, ...cursor, limit: pageSize + 1 })
  const more = found.length > pageSize
  const rows = after === null ? found.slice(0, pageSize) : found.slice(-pageSize)
  const [first, last] = [rows[0]?.id ?? null, rows.at(-1)?.id ?? null]
  return {
    rows,
    newer: after !== null ? (more ? first : null) : before !== null ? (first ?? before - 1) : null,
    older: after !== null ? (last ?? after + 1) : more ? last : null,
  }
}

const rowModel = (language: Language, row: AuditEntry) => ({
  ...row,
  sentence: auditSentence(language, row),
  note: row.detail && auditNote(language, row.detail),
  viaWords: viaWords(language, row.via),
  taskId: /^(task-|debug-run|run-by-hand)/.test(row.act) ? parseTaskId(row.subject ?? '') : null,
  isBad: row.act.endsWith('-failed') || row.act === 'token-refused',
})

const address = (where: string, more: Record<string, string>) => {
  const text = new URLSearchParams(more).toString()
  return text === '' ? where : `${where}?${text}`
}

const rowsAtOnce = 500

/** Piece by piece, so that neither we nor the database hold all of it; what is appended meanwhile is not in it. */
async function* csvOf(db: Db, filter: AuditFilter) {
  yield csvLine(['id', 'time', 'who', 'act', 'subject', 'detail', 'via', 'ip', 'sentence', 'hash'])
  let before: number | undefined
  for (;;) {
    const rows = await listAudit(db, { ...filter, limit: rowsAtOnce, ...(before === undefined ? {} : { before }) })
    yield rows.map(csvRow).join('')
    if (rows.length < rowsAtOnce) return
    before = rows.at(-1)!.id
  }
}

// For programs and for other countries: the time in UTC, the sentence in English.
const csvRow = (row: AuditEntry) => {
  const { id, at, userName, act, subject, detail, via, ip, hash } = row
  return csvLine([id, new Date(at).toISOString(), userName, act, subject, detail, via, ip, auditSentence('en', row), hash])
}

/** Reading the whole table is work: who asks while it is under way gets the same answer. */
const shared = <T>(work: () => Promise<T>): (() => Promise<T>) => {
  let underWay: Promise<T> | undefined
  return () => {
    underWay ??= work().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}
