import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type Background, openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { inPackage } from '../../app/paths.ts'
import { writeDatabaseUrl } from '../../app/runs/database-url-file.ts'
import { findTask } from '../../app/store/find-task.ts'
import { type Dialect, dialects } from '../store/dialects.ts'
import { spawnRun } from './spawn-run.ts'

for (const dialect of dialects) {
  describe(`an action that wants the database, ${dialect.name}`, { skip: dialect.skip }, () => {
    it('finds it by the file in runtime/, writes behind the fence and adds tasks', async () => {
      await withBackground(dialect, async background => {
        const task = await background.addTask('test/uses-database')
        const { outcome } = await (await runOf(background, task.id, task.number)).end()
        assert.equal(outcome?.kind, 'succeeded', outcome?.error ?? '')
        const said = JSON.parse(outcome!.content!)
        assert.deepEqual([said.row, said.fenced], [{ action: 'test/uses-database', number: task.number }, 'written'])
        assert.equal((await findTask(background.db, task.id))?.creator, 'fenced')
        const added = await Promise.all(said.added.map((id: number) => findTask(background.db, id)))
        assert.deepEqual(
          added.map(task => [task?.action, task?.params]),
          [
            ['test/ok', { by: 'context' }],
            ['test/ok', { by: 'library' }],
          ],
        )
      })
    })

    it('may not write when a newer run has begun, or the task is gone', async () => {
      await withBackground(dialect, async background => {
        const task = await background.addTask('test/uses-database')
        const older = await (await runOf(background, task.id, task.number - 1)).end()
        assert.match(
          JSON.parse(older.outcome!.content!).fenced,
          /^conflict: Run -1 of task \d+ may not write any more: run 0 has begun since\./,
        )
        assert.notEqual((await findTask(background.db, task.id))?.creator, 'fenced')
      })
    })
  })
}

describe('an action that wants the database', () => {
  it('is told what to do when the file is not there', async () => {
    const { outcome } = await (await spawnRun('test/uses-database')).end()
    assert.equal(outcome?.kind, 'failed')
    assert.match(outcome.content!, /^The database address is not in .*database-url .* restart it\.$/)
  })
})

const withBackground = async (dialect: Dialect, act: (background: Background) => Promise<void>) => {
  const runtime = mkdtempSync(join(tmpdir(), 'bgtask-runner-'))
  const config = await loadConfig({
    DATABASE_URL: await dialect.newUrl(),
    BGTASK_RUNTIME: runtime,
    BGTASK_ACTIONS: inPackage('test', 'fixtures', 'actions'),
  })
  const background = await openBackground(config)
  try {
    writeDatabaseUrl(runtime, config.databaseUrl)
    await act(background)
  } finally {
    await background.close()
  }
}

const runOf = ({ config }: Background, taskId: number, number: number) =>
  spawnRun('test/uses-database', {
    runtime: config.runtime,
    environment: { BGTASK_ACTIONS: config.actions[0]! },
    ticket: { taskId, number },
  })
