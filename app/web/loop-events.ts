import type { Db } from '../store/database.ts'
import { type EditMark, listEditMarks } from '../store/list-edits.ts'
import { listStarts, type Start } from '../store/list-starts.ts'
import { isBadEnd } from '../task/outcome.ts'

/** What happened to a loop at a moment, as its charts mark it. */
export type LoopEvent =
  /** `by`: who asked for that, where somebody did. */
  | { kind: 'start'; at: number; number: number; by: string | null }
  /** The run before it ended badly. */
  | { kind: 'bad-start'; at: number; number: number }
  /** With fresh code: somebody had asked for it (`reload`), or the supervisor before had left (`leaving`). */
  | { kind: 'reload'; at: number; number: number; because: 'reload' | 'leaving'; by: string | null }
  | { kind: 'edit'; at: number; n: number; by: string | null }
export type EventKind = LoopEvent['kind']

export const eventKinds = ['start', 'bad-start', 'reload', 'edit'] as const satisfies EventKind[]

/** More of a kind are not marked: the page tells how many starts there were. */
const mostMarks = 200

/** In this time, oldest first. */
export const listLoopEvents = async (db: Db, taskId: number, from: number, to: number): Promise<LoopEvent[]> =>
  eventsIn({ starts: await listStarts(db, taskId, mostMarks), edits: await listEditMarks(db, taskId, mostMarks) }, from, to)

/** Pure. @param starts newest first */
export const eventsIn = (
  { starts, edits = [] }: { starts: readonly Start[]; edits?: readonly Pick<EditMark, 'n' | 'at' | 'by'>[] },
  from: number,
  to: number,
): LoopEvent[] =>
  [
    ...starts.map((start, index): LoopEvent => eventOf(start, starts[index + 1])),
    ...edits.map(({ n, at, by }): LoopEvent => ({ kind: 'edit', at, n, by })),
  ]
    .filter(({ at }) => at >= from && at < to)
    .sort((one, other) => one.at - other.at)

/** A start is what the end of the run before it made it. */
const eventOf = ({ number, startedAt: at }: Start, before: Start | undefined): LoopEvent => {
  const last = before?.number === number - 1 ? before : undefined
  if (last?.outcome && isBadEnd(last.outcome)) return { kind: 'bad-start', at, number }
  const { because, by } = last?.stop ?? { because: null, by: null }
  if (because === 'reload' || because === 'leaving') return { kind: 'reload', at, number, because, by }
  return { kind: 'start', at, number, by: because === 'fresh-wish' ? by : null }
}
