import type { FastifyInstance, FastifyReply } from 'fastify'
import { existing } from '../api/control.ts'
import { BgtaskError } from '../errors.ts'
import { sizeOf } from '../runs/read-output.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runHasEnded } from '../runs/run-has-ended.ts'
import { runPaths, runtimePaths } from '../runs/runtime-folder.ts'
import { searchOutput } from '../runs/search-output.ts'
import { readStoredLines, type StoredLine, storedExtent } from '../runs/stored-output.ts'
import { findRun } from '../store/list-runs.ts'
import { isAtLeast, levelOf, type OutputLevel, outputLevels } from '../task/output-level.ts'
import { runName } from '../task/run.ts'
import { told } from '../task/told.ts'
import { ansiToHtml, freshAnsi } from './ansi.ts'
import { fieldsOf } from './fields.ts'
import type { Panel } from './panel.ts'
import { parseTaskId, taskIdOf } from './task-id.ts'
import { createTurns } from './turns.ts'
import { markMatches, visibleText } from './visible-text.ts'

/** All that is kept of a run's output, to look through: by text and level over all of it, or around one line, which has an address of its own. */
export const registerOutputLines = (app: FastifyInstance, panel: Panel) => {
  app.get('/core/bgtask/:id/lines', async (request, reply) => {
    const stored = await existing(panel.background, taskIdOf(request))
    const task = redactionOf(panel.config).task(stored)
    const given = fieldsOf(request.query)
    const number = parseTaskId(given.run ?? '') ?? stored.number
    // The tools are there before the first run is.
    if (number === 0) return reply.redirect(`${panel.root}/core/bgtask/${stored.id}#output`, 303)
    const run = await findRun(panel.background.db, stored.id, number)
    if (!run)
      throw new BgtaskError('not-found', told`Run ${number} of task ${stored.id} has no output here: it printed nothing, or it was pruned.`)
    const { folder } = runtimePaths(panel.config.runtime).run(runName(stored.id, number))
    const output = { folder, redactor: () => redactionOf(panel.config).ofOutput(folder, stored), ended: runHasEnded(folder) }
    const sought = soughtIn(given)
    const path = `${panel.root}/core/bgtask/${stored.id}/lines`
    const extent = storedExtent(folder)
    const common = {
      task,
      run,
      runNumber: number,
      sought,
      extent,
      hasOlderPart: sizeOf(runPaths(folder).rotatedOutput) > 0,
      levels: outputLevels,
      ...links(path, number, sought),
    }
    if (given.last === 'error') {
      const { lines, isAll, from } = await find(output, reply, { ...sought, text: '', level: 'error' }, 1)
      if (lines[0]) return reply.redirect(`${path}?run=${number}&at=${lines[0].at}#line`, 303)
      return reply.page('output-lines', { ...common, found: { lines: [], isAll, from }, isLastError: true })
    }
    if (sought.at !== null) return reply.page('output-lines', { ...common, around: await around(output, sought, sought.at) })
    if (sought.text === '' && sought.level === null)
      return reply.page('output-lines', { ...common, around: await around(output, sought, extent.to) })
    const found = await find(output, reply, sought, matchesOnPage)
    return reply.page('output-lines', { ...common, found: { ...found, lines: found.lines.map(line => shownMatch(line, sought.text)) } })
  })
}

const matchesOnPage = 100
const longestText = 200
/** Of the lines around one, on each side. */
const aroundLines = 60
const aroundBytes = 24_576
/** More of a line is not shown; a download has it. */
const longestLine = 2_000

/** So many look through output at the same time; whoever comes later waits. */
const turns = createTurns(2)

interface Sought {
  text: string
  level: OutputLevel | null
  /** A place: lines around it are shown. */
  at: number | null
  /** Looks only at what stands before. */
  before: number | null
}

const soughtIn = (given: Record<string, string>): Sought => ({
  text: (given.q ?? '').slice(0, longestText).toWellFormed(),
  level: outputLevels.find(level => level === given.level) ?? null,
  at: placeIn(given.at),
  before: placeIn(given.before),
})

const placeIn = (text: string | undefined): number | null => (text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null)

const links = (path: string, number: number, { text, level }: Sought) => {
  const filter = { ...(text === '' ? {} : { q: text }), ...(level === null ? {} : { level }) }
  const to = (more: Record<string, string>) => `${path}?${new URLSearchParams({ run: String(number), ...more })}`
  return {
    lineLink: (at: number) => `${to({ ...filter, at: String(at) })}#line`,
    olderLink: (before: number) => to({ ...filter, before: String(before) }),
    lastErrorOf: (other: number) => `${path}?run=${other}&last=error`,
    lastErrorBefore: (before: number) => to({ last: 'error', before: String(before) }),
    searchOf: (other: number) => `${path}?${new URLSearchParams({ run: String(other), ...filter })}`,
    matchesLink: Object.keys(filter).length === 0 ? null : to(filter),
  }
}

interface Output {
  folder: string
  redactor: Parameters<typeof searchOutput>[1]
  ended: boolean
}

const find = async ({ folder, redactor, ended }: Output, { raw }: FastifyReply, { text, level, before }: Sought, most: number) => {
  const needle = text.toLowerCase()
  const matches = (line: string) => {
    const seen = visibleText(line)
    return (needle === '' || seen.toLowerCase().includes(needle)) && (level === null || isAtLeast(seen, level))
  }
  // Nobody waits for the answer any more: then nobody works for it.
  const left = new AbortController()
  raw.once('close', () => left.abort())
  return turns(() => searchOutput(folder, redactor, { matches, most, ended, signal: left.signal, ...(before === null ? {} : { before }) }))
}

interface ShownLine {
  at: number
  html: string
  level: OutputLevel | null
  /** Characters that are not shown. */
  more: number
}

const shownMatch = ({ at, text }: StoredLine, wanted: string): ShownLine => {
  const seen = visibleText(text)
  const level = levelOf(seen)
  if (text.length <= longestLine) return { at, html: markMatches(ansiToHtml(text), wanted), level, more: 0 }
  const start = Math.max(0, seen.toLowerCase().indexOf(wanted.toLowerCase()) - longestLine / 4)
  const part = seen.slice(start, start + longestLine).toWellFormed()
  return { at, html: `${start > 0 ? '… ' : ''}${markMatches(ansiToHtml(part), wanted)}`, level, more: seen.length - part.length }
}

/** The line at a place, and some before and after it. */
const around = async ({ folder, redactor, ended }: Output, { text }: Sought, at: number) => {
  const extent = storedExtent(folder)
  const known = redactor()
  const place = Math.max(extent.from, Math.min(at, extent.to))
  const read = (from: number, to: number) => readStoredLines(folder, known, { from: Math.max(extent.from, from), to, ended })
  const before = (await read(place - aroundBytes, place)).lines.slice(-aroundLines)
  const after = await read(place, Math.min(extent.to, place + aroundBytes))
  // Its last line goes on, where it is not the end of all.
  const following = after.to < extent.to && after.lines.length > 1 ? after.lines.slice(0, -1) : after.lines
  const state = freshAnsi()
  const shown = [...before, ...following.slice(0, aroundLines + 1)].map(({ at, text: line }): ShownLine => {
    const part = line.slice(0, longestLine).toWellFormed()
    return {
      at,
      html: markMatches(withoutLineEnd(ansiToHtml(`${part}\n`, state)), text),
      level: levelOf(visibleText(part)),
      more: line.length - part.length,
    }
  })
  const chosen = following[0]?.at ?? null
  const last = following[aroundLines] ?? null
  return {
    lines: shown,
    chosen: place < extent.to ? chosen : null,
    isPast: at < extent.from,
    earlier: shown[0] && shown[0].at > extent.from ? shown[0].at : null,
    later: last?.at ?? (after.to < extent.to ? after.to : null),
  }
}

const withoutLineEnd = (html: string) => html.replace(/\n(<\/span>)?$/, '$1')
