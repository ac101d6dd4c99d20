import { hostname } from 'node:os'
import type { Config } from '../config.ts'
import { readHold } from '../runs/flags.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import type { Db } from '../store/database.ts'
import { type Act, type Actor, audited } from './audited.ts'
import { reloadLoop } from './reload-loop.ts'
import { type LoopStart, startLoop, whyNotStart } from './start-loop.ts'
import { type LoopStop, stopLoop, whyNotStop } from './stop-loop.ts'

/*
 * What people do to the loop of this host. Each writes its audit row first, and none when there is nothing to do.
 * @throws as startLoop, stopLoop, reloadLoop and audited
 */
interface Tools {
  config: Config
  db: Db
}

/** @param options.releaseHold ends an operator's hold, as an act of its own; without it a hold is respected */
export const startAudited = async (
  { config, db }: Tools,
  actor: Actor,
  { releaseHold = false }: { releaseHold?: boolean } = {},
): Promise<LoopStart> => {
  const idle = whyNotStart(config, { releaseHold })
  if (idle) return idle
  const act = readHold(config.runtime) === null ? 'loop-started' : 'loop-released'
  return audited(db, actor, onThisHost(act), () => startLoop(config, { by: nameOf(actor), releaseHold }))
}

/** @param options.hold see stopLoop */
export const stopAudited = async ({ config, db }: Tools, actor: Actor, { hold = false }: { hold?: boolean } = {}): Promise<LoopStop> => {
  const idle = hold ? null : whyNotStop(config)
  if (idle) return idle
  return audited(db, actor, onThisHost(hold ? 'loop-held' : 'loop-stopped'), () => stopLoop(config, { by: nameOf(actor), hold }))
}

export const reloadAudited = async ({ config, db }: Tools, actor: Actor): ReturnType<typeof reloadLoop> => {
  const reload = () => reloadLoop(config, { by: nameOf(actor) })
  return readSupervisor(config.runtime) === null ? notRunning : audited(db, actor, onThisHost('loop-reloaded'), reload)
}

const notRunning = {
  asked: false,
  sentence: 'The supervisor does not run, so there is nothing to reload; its next start takes fresh code.',
}

// Several hosts may share the table.
const onThisHost = (act: string): Act => ({ act, subject: 'loop', detail: hostname() })

const nameOf = ({ name, via }: Actor) => name ?? via
