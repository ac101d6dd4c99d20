import { median } from './statistics.ts'

/** One line of the table: what we reach beside what the machine allows. */
export interface Figure {
  figure: string
  unit: '/s' | 'ms' | 'MB' | '%'
  ours: number
  /** Measured in the same run, in turns with ours; null where nothing comparable exists. */
  limit: { is: string; value: number } | null
  /** Ours divided by the limit; of figures taken in rounds the median of each round's, since the load of a machine changes between them. */
  ratio: number | null
  aim: Aim | null
  /** null when nothing was aimed at, or when the figures cannot tell. */
  reached: boolean | null
  /** What else was seen: spread, counts, conditions. */
  note: string
}

export type Aim = { of: 'ratio' | 'ours' } & ({ atLeast: number } | { atMost: number })

interface Measured {
  figure: string
  unit: Figure['unit']
  /** One value, or one of each round. */
  ours: number | readonly number[]
  /** As many values as ours has. */
  limit: { is: string; value: number | readonly number[] } | null
  aim?: Aim
  /** Why these figures cannot tell whether the aim is reached; null when they can. */
  doubt?: string | null
  note: string
}

/** Divides ours by the limit, and compares with the aim what the aim is about. */
export const makeFigure = ({ figure, unit, ours, limit, aim, doubt, note }: Measured): Figure => {
  const values = [ours].flat()
  const limits = limit ? [limit.value].flat() : null
  const ratio = limits ? median(values.map((value, round) => value / limits[round]!)) : null
  const judged = aim?.of === 'ratio' ? ratio : median(values)
  const reached = !aim || judged === null || doubt ? null : 'atLeast' in aim ? judged >= aim.atLeast : judged <= aim.atMost
  return {
    figure,
    unit,
    ours: median(values),
    limit: limit && { is: limit.is, value: median(limits!) },
    ratio,
    aim: aim ?? null,
    reached,
    note: doubt ? `${note}. NOT JUDGED: ${doubt}` : note,
  }
}
