import type { Life } from '../store/list-lives.ts'
import { isBadEnd } from '../task/outcome.ts'
import type { Task } from '../task/task.ts'

/** What a loop was in a piece of time: up, down since a run ended badly, or down as it should. */
export type StripTone = 'good' | 'bad' | 'off'

export interface LifeStrip {
  /** One path for each tone, as wide as the strip has minutes and 10 high. */
  shapes: { tone: StripTone; path: string }[]
  minutes: number
  /** How much of the time that is known it was up, from 0 to 1; null when nothing is known. */
  up: number | null
  badEnds: number
}

/**
 * The lives of a loop between two moments as one strip. Pure.
 * @param lives oldest first, the one under way included; what was before the first of them is not known, and stays empty
 */
export const lifeStrip = (task: Pick<Task, 'wanted'>, lives: readonly Omit<Life, 'number'>[], from: number, to: number): LifeStrip => {
  const pieces: { tone: StripTone; from: number; to: number }[] = []
  for (const [index, life] of lives.entries()) {
    const end = life.endedAt ?? to
    pieces.push({ tone: 'good', from: life.startedAt, to: end })
    if (life.endedAt === null) continue
    const next = lives[index + 1]
    const isDown = next === undefined && task.wanted === 'down'
    pieces.push({ tone: isBad(life) && !isDown ? 'bad' : 'off', from: end, to: next?.startedAt ?? to })
  }
  const seen = pieces
    .map(piece => ({ ...piece, from: Math.max(from, piece.from), to: Math.min(to, piece.to) }))
    .filter(piece => piece.to > piece.from)
  const badEnds = lives.filter(life => isBad(life) && life.endedAt! >= from && life.endedAt! < to)
  const known = seen.reduce((sum, piece) => sum + piece.to - piece.from, 0)
  const upMs = seen.reduce((sum, piece) => sum + (piece.tone === 'good' ? piece.to - piece.from : 0), 0)
  const pathOf = (tone: StripTone) => [
    ...seen.filter(piece => piece.tone === tone).map(piece => bar(piece.from - from, piece.to - piece.from)),
    // A loop that is up again at once was down for less than can be seen.
    ...(tone === 'bad' ? badEnds.map(life => bar(Math.min(life.endedAt!, to - leastMs) - from, leastMs)) : []),
  ]
  return {
    // What is bad is drawn last, over the others.
    shapes: (['off', 'good', 'bad'] as const).map(tone => ({ tone, path: pathOf(tone).join('') })).filter(({ path }) => path !== ''),
    minutes: (to - from) / minuteMs,
    up: known === 0 ? null : upMs / known,
    badEnds: badEnds.length,
  }
}

const minuteMs = 60_000
const leastMs = 1.5 * minuteMs

const isBad = ({ outcome }: Pick<Life, 'outcome'>) => outcome !== null && isBadEnd(outcome)

const bar = (fromMs: number, lengthMs: number) => `M${minutes(fromMs)} 0h${minutes(lengthMs)}v10H${minutes(fromMs)}z`
const minutes = (ms: number) => Math.round((ms / minuteMs) * 100) / 100
