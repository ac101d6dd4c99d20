import type { Selectable } from 'kysely'
import type { KeptArtifact } from '../runs/artifacts-file.ts'
import type { RunUser } from '../runs/run-user.ts'
import type { Db } from './database.ts'
import type { ArtifactRow } from './tables.ts'
import { type Executor, withRetries } from './transact.ts'

/** A file that a run declared to have made, with the run. */
export interface RunArtifact extends KeptArtifact {
  taskId: number
  number: number
}

/** Keeps what a run declared, within the transaction that records its end. May be repeated. */
export const saveArtifacts = async (trx: Executor, taskId: number, number: number, artifacts: readonly KeptArtifact[] | undefined) => {
  if (!artifacts || artifacts.length === 0) return
  await trx.deleteFrom('bg_artifact').where('task_id', '=', taskId).where('number', '=', number).execute()
  await trx
    .insertInto('bg_artifact')
    .values(
      artifacts.map(({ n, name, path, sizeBytes, declaredAt, device, inode, bornNs, user }) => ({
        task_id: taskId,
        number,
        n,
        name,
        path,
        size_bytes: sizeBytes,
        declared_at: declaredAt,
        device,
        inode,
        born_ns: bornNs,
        run_user: user === null ? null : JSON.stringify(user),
      })),
    )
    .execute()
}

/** Those of one run that has ended, in the order of their numbers. */
export const listArtifacts = (db: Db, taskId: number, number: number): Promise<RunArtifact[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_artifact')
      .selectAll()
      .where('task_id', '=', taskId)
      .where('number', '=', number)
      .orderBy('n')
      .execute()
    return rows.map(toArtifact)
  })

/** The newest `most` of each of the runs, which have ended; for a page of tasks. */
export const listArtifactsOf = async (
  db: Db,
  runs: readonly { taskId: number; number: number }[],
  most: number,
): Promise<ReadonlyMap<number, RunArtifact[]>> => {
  if (runs.length === 0) return new Map()
  const rows = await withRetries(() =>
    db.kysely
      .selectFrom('bg_artifact')
      .selectAll()
      .where(row => row.or(runs.map(({ taskId, number }) => row.and({ task_id: taskId, number }))))
      .execute(),
  )
  const byTask = Map.groupBy(rows.map(toArtifact), artifact => artifact.taskId)
  for (const [id, artifacts] of byTask) byTask.set(id, artifacts.sort((a, b) => b.n - a.n).slice(0, most))
  return byTask
}

export const toArtifact = (row: Selectable<ArtifactRow>): RunArtifact => ({
  taskId: Number(row.task_id),
  number: Number(row.number),
  n: Number(row.n),
  name: row.name,
  path: row.path,
  sizeBytes: Number(row.size_bytes),
  declaredAt: Number(row.declared_at),
  device: row.device,
  inode: row.inode,
  bornNs: row.born_ns,
  user: row.run_user === null ? null : (JSON.parse(row.run_user) as RunUser),
})
