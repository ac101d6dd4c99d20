import { CompiledQuery } from 'kysely'
import { durationsText, readDurations } from '../task/durations.ts'
import { keepSamplesMs, rollUp, type Sample, type SampleSpanMs, sampleSpans, spanAt } from '../task/sample.ts'
import type { Db } from './database.ts'
import type { SampleRow } from './tables.ts'
import { type Executor, transact } from './transact.ts'

/** Samples of a loop that began at `from` or later (milliseconds since 1970), oldest first. */
export const listSamples = (db: Db, taskId: number, spanMs: SampleSpanMs, from: number): Promise<Sample[]> =>
  readSamples(db.kysely, taskId, spanMs, from, Number.MAX_SAFE_INTEGER)

/** One commit for all. May be repeated: what is there already stays as it is. */
export const insertSamples = (db: Db, samples: readonly Sample[]): Promise<void> =>
  transact(db, async trx => {
    for (let begin = 0; begin < samples.length; begin += rowsAtOnce) await insert(db, trx, samples.slice(begin, begin + rowsAtOnce))
  })

/**
 * Makes the longer spans of these loops that are complete by now out of the shorter ones, and removes what is kept no longer. May be repeated, and
 * makes up for times at which nobody did it, as far as the shorter ones are still there.
 */
export const rollUpSamples = async (db: Db, taskIds: readonly number[], now: number): Promise<void> => {
  for (let begin = 0; begin < taskIds.length; begin += loopsAtOnce) {
    await transact(db, async trx => {
      for (const taskId of taskIds.slice(begin, begin + loopsAtOnce)) {
        for (const [index, spanMs] of sampleSpans.entries()) {
          if (index > 0) await insert(db, trx, await longerOf(trx, taskId, sampleSpans[index - 1]!, spanMs, now))
          await trx
            .deleteFrom('bg_sample')
            .where('task_id', '=', taskId)
            .where('span_ms', '=', spanMs)
            .where('at', '<', now - keepSamplesMs[spanMs])
            .execute()
        }
      }
    })
  }
}

const rowsAtOnce = 100
/** Small, so that nobody waits for the lock. */
const loopsAtOnce = 20

const longerOf = async (trx: Executor, taskId: number, shorterMs: SampleSpanMs, spanMs: SampleSpanMs, now: number): Promise<Sample[]> => {
  const last = await trx
    .selectFrom('bg_sample')
    .select('at')
    .where('task_id', '=', taskId)
    .where('span_ms', '=', spanMs)
    .orderBy('at', 'desc')
    .limit(1)
    .executeTakeFirst()
  const from = last ? Number(last.at) + spanMs : 0
  const until = spanAt(now, spanMs)
  return from >= until ? [] : rollUp(await readSamples(trx, taskId, shorterMs, from, until), spanMs)
}

const readSamples = async (executor: Executor, taskId: number, spanMs: SampleSpanMs, from: number, until: number): Promise<Sample[]> => {
  const rows = await executor
    .selectFrom('bg_sample')
    .selectAll()
    .where('task_id', '=', taskId)
    .where('span_ms', '=', spanMs)
    .where('at', '>=', from)
    .where('at', '<', until)
    .orderBy('at')
    .execute()
  return rows.map(toSample)
}

const insert = async (db: Db, trx: Executor, samples: readonly Sample[]): Promise<void> => {
  if (samples.length === 0) return
  const verb = db.dialect === 'sqlite' ? 'INSERT OR IGNORE' : 'INSERT IGNORE'
  const sql = `${verb} INTO bg_sample (task_id, span_ms, at, iterations, errors, durations, cpu_ms, memory_bytes, output_bytes)
    VALUES ${samples.map(() => '(?, ?, ?, ?, ?, ?, ?, ?, ?)').join(', ')}`
  await trx.executeQuery(CompiledQuery.raw(sql, samples.flatMap(valuesOf)))
}

const valuesOf = ({ taskId, spanMs, at, iterations, errors, durations, cpuMs, memoryBytes, outputBytes }: Sample) => [
  ...[taskId, spanMs, at, iterations, errors, durationsText(durations)],
  ...[cpuMs, memoryBytes, outputBytes],
]

const toSample = (row: SampleRow): Sample => ({
  taskId: Number(row.task_id),
  at: Number(row.at),
  spanMs: Number(row.span_ms) as SampleSpanMs,
  iterations: Number(row.iterations),
  errors: Number(row.errors),
  durations: readDurations(row.durations),
  cpuMs: Number(row.cpu_ms),
  memoryBytes: row.memory_bytes === null ? null : Number(row.memory_bytes),
  outputBytes: Number(row.output_bytes),
})
