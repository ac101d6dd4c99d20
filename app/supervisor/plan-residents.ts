import type { ResidentOptions } from '../task/resident-options.ts'

/** What the supervisor knows of its resident runners at one moment, as plain values. Times are monotonic milliseconds. */
export interface ResidentSituation {
  now: number
  mode: 'running' | 'leaving'
  /** null: the map of the actions has not been read yet. */
  actions: readonly ResidentActionView[] | null
  residents: readonly ResidentView[]
}

export interface ResidentActionView {
  action: string
  options: ResidentOptions
  /** Tasks of it may be due. */
  due: boolean
  /** No process is started before this, since the last one did not come up. */
  restUntil: number
}

export interface ResidentView {
  name: string
  action: string
  options: ResidentOptions
  state: 'starting' | 'ready' | 'leaving'
  /** Tasks it holds, begun or not, and how many it has ever been handed. */
  held: number
  handed: number
  /** How many it is known to end within the time that tasks may wait ahead of their turn. */
  ahead: number
  startedAt: number
  /** null while it holds tasks. */
  idleSince: number | null
  rssMb: number
  reload: boolean
}

export type ResidentStep =
  | { do: 'start'; action: string }
  | { do: 'hand'; name: string; most: number }
  | { do: 'leave'; name: string; because: string }

/** Compares and says what to do now. Pure: the same situation gives the same steps. */
export const planResidents = ({ now, mode, actions, residents }: ResidentSituation): ResidentStep[] => {
  if (mode === 'leaving')
    return residents.filter(({ state }) => state !== 'leaving').map(({ name }) => leave(name, 'the supervisor leaves'))
  const steps: ResidentStep[] = []
  const staying = residents.filter(resident => {
    if (resident.state === 'leaving') return false
    const because = whyReplaced(resident, now)
    if (because) steps.push(leave(resident.name, because))
    return because === null
  })
  for (const { action, options, due, restUntil } of actions ?? []) {
    const own = staying.filter(resident => resident.action === action)
    if (!due) {
      const idle = own.filter(one => one.state === 'ready' && one.idleSince !== null && now - one.idleSince >= one.options.idleMs)
      steps.push(...idle.map(({ name }) => leave(name, `nothing to do for ${options.idleMs} ms`)))
      continue
    }
    const ready = own.filter(({ state }) => state === 'ready')
    // Whoever has least goes first, so that several share the work.
    const hands = [...ready].sort((a, b) => a.held - b.held).flatMap(resident => handOver(resident))
    steps.push(...hands)
    const open = own.filter(one => !isUsedUp(one))
    const isStarting = open.some(({ state }) => state === 'starting')
    if (!isStarting && open.length < options.residents && now >= restUntil && open.every(one => one.held >= one.options.concurrency))
      steps.push({ do: 'start', action })
  }
  // Of an action that is none any more, or that has processes of its own now.
  const strays = staying.filter(({ action }) => actions !== null && !actions.some(known => known.action === action))
  return [...steps, ...strays.map(({ name }) => leave(name, 'its action is resident no more'))]
}

const leave = (name: string, because: string): ResidentStep => ({ do: 'leave', name, because })

const handOver = ({ name, options, held, handed, ahead }: ResidentView): ResidentStep[] => {
  const most = options.concurrency + ahead
  // By halves: a claim for each task that ends would cost a commit each.
  if (held > most / 2 && held >= options.concurrency) return []
  const room = Math.min(most - held, options.maxTasks === null ? Number.POSITIVE_INFINITY : options.maxTasks - handed)
  return room > 0 ? [{ do: 'hand', name, most: room }] : []
}

const isUsedUp = ({ options, handed }: Pick<ResidentView, 'options' | 'handed'>) => options.maxTasks !== null && handed >= options.maxTasks

const whyReplaced = ({ state, options, handed, startedAt, rssMb, reload, held }: ResidentView, now: number): string | null => {
  if (reload) return 'reload'
  if (state !== 'ready') return null
  // Those that it holds are its last ones, and are waited for: to leave would give them back.
  if (isUsedUp({ options, handed })) return held === 0 ? `recycled after ${handed} tasks` : null
  if (options.maxAgeMs !== null && now - startedAt >= options.maxAgeMs) return `recycled after ${Math.round(now - startedAt)} ms`
  if (options.maxRssMb !== null && rssMb > options.maxRssMb) return `recycled at ${Math.round(rssMb)} MB of memory`
  return null
}
