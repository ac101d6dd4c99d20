import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { readBeat } from '../runs/beat.ts'
import type { SecretConfig } from '../runs/known-secrets.ts'
import type { OpenRuns } from '../runs/open-runs.ts'
import { type RunEnd, readEnd, writeOutcome } from '../runs/outcome-file.ts'
import { findMarked, type ProcessIdentity } from '../runs/process-identity.ts'
import { readOutput } from '../runs/read-output.ts'
import { runPaths } from '../runs/runtime-folder.ts'
import { readStopRequest } from '../runs/stop-file.ts'
import { readTicket, type Ticket } from '../runs/ticket.ts'
import { Child, type ChildEvents, identityOf, strikesIn } from './child.ts'
import { completeEnd } from './complete-end.ts'
import { believe, type ExitFacts } from './how-it-ended.ts'
import { sweep } from './signal-run.ts'
import { neverStarted } from './ticket-facts.ts'

/** A run that an earlier life of the supervisor left: alive, or with how it ended. */
export type FoundRun = { ticket: Ticket; child: Child } | { ticket: Ticket; child: null; end: RunEnd }

/** Reads what the earlier lives left in runtime/: takes over what lives, and finds out how the rest ended. */
export const adoptRuns = (config: SecretConfig, host: string, open: OpenRuns, events: ChildEvents): FoundRun[] => {
  const left = open.list()
  if (left.length === 0) return []
  const marked = findMarked(mark => mark.startsWith(`${host}/`))
  return left.flatMap(({ name }): FoundRun[] => {
    const folder = join(config.runtime, 'runs', name)
    try {
      const ticket = readTicket(folder)
      if (ticket) return [adoptRun(config, ticket, folder, marked, events)]
      // Without a ticket nobody can look after it: a process that still bears its mark is ended, and the row says that it runs again.
      for (const { mark } of marked.filter(found => found.mark.split('/')[1] === name)) void sweep(mark)
      open.remove(name)
    } catch (error) {
      events.trouble(`run ${name} cannot be taken over: ${messageOf(error)}. Look at ${folder}.`)
    }
    return []
  })
}

const adoptRun = (config: SecretConfig, ticket: Ticket, folder: string, marked: Marked, events: ChildEvents): FoundRun => {
  const identity = identityOf(ticket, marked)
  if (!identity) return { ticket, child: null, end: completeEnd(config, folder, ticket, endOf(ticket, folder, marked)) }
  return { ticket, child: Child.adopt(ticket, folder, identity, events) }
}

type Marked = readonly { identity: ProcessIdentity; mark: string; groupId: number }[]

const endOf = (ticket: Ticket, folder: string, marked: Marked): RunEnd => {
  const paths = runPaths(folder)
  const told = readEnd(paths)
  if (!told && !ticket.process && !existsSync(paths.output)) {
    rmSync(folder, { recursive: true, force: true })
    return neverStarted()
  }
  const stop = readStopRequest(folder)
  // Its leader is gone; children that it left in other groups go too, as they would have if we had seen its end.
  for (const { mark } of marked.filter(found => found.mark === ticket.mark)) void sweep(mark)
  const beat = readBeat(paths.beat)
  const strikes = strikesIn(ticket)
  const facts: ExitFacts = {
    exitCode: null,
    signal: null,
    endedAt: beat?.at ?? Date.now(),
    stop,
    forced: false,
    tail: readOutput(folder, { maxBytes: 8_192 }).text,
    usage: null,
    iterations: beat?.iterations ?? null,
    ...(strikes ? { limits: strikes } : {}),
  }
  const end = believe(told, facts)
  if (!told || ticket.bounds?.user) writeOutcome(paths.outcome, told ?? end)
  return end
}
