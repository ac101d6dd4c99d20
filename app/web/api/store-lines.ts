import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { parse as parseJsonSafely } from 'secure-json-parse'
import { isDeeperThan } from '../../api/check-json.ts'
import { checkTask } from '../../api/check-task.ts'
import { asCommandWish } from '../../api/command-wish.ts'
import { type StoredTask, storeChecked, type Together } from '../../api/store-tasks.ts'
import { tokenActor } from '../../api/tokens.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { BgtaskError } from '../../errors.ts'
import { redactionOf } from '../../runs/redaction.ts'
import type { NewTask } from '../../store/insert-task.ts'
import { findLines, KeyTaken, keepLines, keepLinesAlone, openLines, type RequestKey } from '../../store/request-keys.ts'
import { actorOf } from '../actor.ts'
import type { Panel } from '../panel.ts'
import { deepestBody } from './deepest-body.ts'
import { inexact } from './inexact.ts'
import { mayMeetWith, requireAction, scopeMissingFor } from './may-add.ts'
import { type Line, type LineFault, linesLimits } from './read-lines.ts'
import { readTaskWish } from './task-wish.ts'

/** The answer to one line. */
export type LineAnswer =
  | { line: number; id: number; uid: string; added: boolean; updated: boolean; replaced: number | null }
  | { line: number; error: { code: string; message: string } }

/** Stores what lines ask for, each for itself: one that is refused keeps no other from being stored. */
export interface LineStore {
  /** @returns in order, one for each line; in pieces, each as soon as it is stored */
  store(lines: readonly Line[]): AsyncGenerator<LineAnswer[]>
}

/**
 * With a key, lines are numbered and done once each: those that another request with this key has done are answered as they were then.
 * @param first number of the first line that will come
 */
export const createLineStore = async (panel: Panel, request: FastifyRequest, key: RequestKey | null, first: number): Promise<LineStore> => {
  const { background } = panel
  const { db } = background
  const { scopes, name } = request.token!
  const by = tokenActor(request.token!)
  const actor = actorOf(request)
  const mayMeet = mayMeetWith(scopes)
  /** How many lines are done, in the order of their numbers. */
  let done = key === null ? 0 : await openedLines(db, key, first)

  async function* storeNew(lines: readonly Line[]): AsyncGenerator<LineAnswer[]> {
    const catalog = await background.catalog()
    const read: ReadLine[] = []
    for (const line of lines) read.push(await readLine(line, catalog))
    for (const group of inGroups(read)) yield* storeGroup(group)
  }

  const readLine = async ({ number, text, fault }: Line, catalog: Catalog): Promise<ReadLine> => {
    const base = { number, hash: hashOf(text) }
    try {
      const wish = await readTaskWish(parseLine(text, fault), 'It')
      const missing = scopeMissingFor(scopes, wish)
      if (missing !== null) return { ...base, ...faultOf('scope-missing', `This token does not have the scope ${missing}.`) }
      requireAction(catalog, scopes, wish.action)
      const { action, params, options } = await asCommandWish(panel.config, { ...wish, options: { creator: name, ...wish.options } }, actor)
      const { task } = await checkTask(catalog, action, params, options, { by, now: Date.now() })
      return { ...base, task }
    } catch (error) {
      if (!(error instanceof BgtaskError) || error.code === 'database-away') throw error
      return { ...base, ...faultOf(error.code, shown(error)) }
    }
  }

  const shown = (error: BgtaskError) => redactionOf(panel.config).text(error.message)

  /** In one transaction, and what was answered with it. */
  async function* storeGroup(group: readonly ReadLine[]): AsyncGenerator<LineAnswer[]> {
    const place = { first: done + 1, last: group.at(-1)!.number }
    const tasks = group.flatMap(({ task }) => task ?? [])
    let answers = answersTo(group, [])
    const kept = () => ({ ...place, answer: JSON.stringify(group.map(({ hash }, index) => ({ hash, answer: answers[index] }))) })
    const together: Together = async (stored, trx) => {
      answers = answersTo(group, stored)
      if (key !== null) await keepLines(trx, key, kept(), Date.now())
    }
    try {
      if (tasks.length > 0) await storeChecked(background, tasks, { actor, together, mayMeet })
      else if (key !== null) await keepLinesAlone(db, key, kept(), Date.now())
    } catch (error) {
      // One of them did not get its unique key: each for itself, so that the others do not suffer.
      if (!(error instanceof BgtaskError) || error.code !== 'conflict') throw error
      const [only, ...others] = group
      if (others.length === 0) yield* storeGroup([{ number: only!.number, hash: only!.hash, ...faultOf(error.code, shown(error)) }])
      else for (const line of group) yield* storeGroup([line])
      return
    }
    done = place.last
    yield answers
  }

  const replay = async (lines: readonly Line[]): Promise<LineAnswer[]> => {
    const kept = new Map<number, { hash: string; answer: LineAnswer }>()
    for (const { answer } of await findLines(db, key!, lines[0]!.number, lines.at(-1)!.number)) {
      for (const one of JSON.parse(answer) as { hash: string; answer: LineAnswer }[]) kept.set(one.answer.line, one)
    }
    return lines.map(({ number, text }) => {
      const found = kept.get(number)
      if (found?.hash === hashOf(text)) return found.answer
      return {
        line: number,
        ...faultOf('refused', 'Under this Idempotency-Key the line was another one the first time; nothing is added.'),
      }
    })
  }

  return {
    async *store(lines) {
      let left = lines
      while (left.length > 0) {
        const old = key === null ? [] : left.filter(({ number }) => number <= done)
        try {
          if (old.length > 0) {
            yield await replay(old)
            left = left.slice(old.length)
          }
          for await (const answers of storeNew(left)) {
            yield answers
            left = left.slice(answers.length)
          }
        } catch (error) {
          if (!(error instanceof KeyTaken)) throw error
          // Another request with this key is at it as well: what it has done is answered, and nothing was done twice.
          done = await openedLines(db, key!, left[0]!.number)
        }
      }
    },
  }
}

interface ReadLine {
  number: number
  hash: string
  task?: NewTask
  error?: { code: string; message: string }
}

const faultOf = (code: string, message: string) => ({ error: { code, message } })

const openedLines = async (db: Panel['background']['db'], key: RequestKey, first: number): Promise<number> => {
  const done = await openLines(db, key, Date.now())
  if (done === null) {
    throw new BgtaskError('refused', 'This Idempotency-Key was used for another request. Give each new request a key of its own.')
  }
  if (first <= done + 1) return done
  throw new BgtaskError(
    'refused',
    `The first line is ${first}, but under this Idempotency-Key ${done} lines are done: go on with line ${done + 1}, or an earlier one.`,
  )
}

const parseLine = (text: string | null, fault: LineFault | null): unknown => {
  if (text === null)
    throw refused(
      fault === 'not-utf8'
        ? 'The line is not UTF-8, as JSON has to be; send it in that encoding.'
        : `The line is longer than ${linesLimits.lineBytes / 1024} kB.`,
    )
  let value: unknown
  try {
    value = parseJsonSafely(text)
  } catch {
    throw refused('The line cannot be read: it is not JSON, or has a key that is not allowed (__proto__).')
  }
  if (isDeeperThan(value, deepestBody)) throw refused(`The line is nested deeper than ${deepestBody} levels; give flatter params.`)
  const changed = inexact('The line', text)
  if (changed) throw changed
  return value
}

const refused = (sentence: string) => new BgtaskError('refused', sentence)

/** Those that a held key may refuse stand alone, since the refusal undoes the whole transaction. */
const inGroups = (lines: readonly ReadLine[]): ReadLine[][] => {
  const groups: ReadLine[][] = []
  let isOpen = false
  for (const line of lines) {
    const alone = line.task?.uniqueKey != null && line.task.onConflict === 'reject'
    if (isOpen && !alone) groups.at(-1)!.push(line)
    else groups.push([line])
    isOpen = !alone
  }
  return groups
}

const answersTo = (group: readonly ReadLine[], stored: readonly StoredTask[]): LineAnswer[] => {
  let next = 0
  return group.map(({ number, task, error }) => {
    if (error || !task) return { line: number, error: error! }
    const one = stored[next++]
    return one
      ? { line: number, id: one.task.id, uid: one.task.uid, added: one.added, updated: one.updated, replaced: one.replaced }
      : { line: number, ...faultOf('failed', 'It was not stored.') }
  })
}

const hashOf = (text: string | null): string =>
  createHash('sha256')
    .update(text ?? '')
    .digest('base64url')
    .slice(0, 16)
