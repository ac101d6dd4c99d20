import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { inPackage } from '../../app/paths.ts'
import { actionFile, spawnRun } from './spawn-run.ts'

const app = inPackage('app')

describe('the start-up of a supervised run', () => {
  it('loads nothing but the runner and what it may import', async () => {
    const loaded = await modulesLoadedBy('test/ok')
    const rooms = loaded.filter(path => path.startsWith(`${app}/`)).map(path => path.slice(app.length + 1))
    assert.ok(rooms.includes('runner/main.ts'))
    assert.deepEqual(
      rooms.filter(path => !/^(runner|runs|task)\/|^(errors|paths)\.ts$/.test(path)),
      [],
    )
    assert.deepEqual(
      loaded.filter(path => path.includes('/node_modules/')),
      [],
    )
    assert.ok(loaded.length <= 27, `${loaded.length} modules:\n${loaded.join('\n')}`)
  })

  it('loads no package for an action that imports the library and loops', async () => {
    const loaded = await modulesLoadedBy('test/recycles')
    assert.ok(loaded.includes(join(app, 'index.ts')))
    assert.deepEqual(
      loaded.filter(path => /node_modules|\/app\/(store|api|web|supervisor|catalog|cli)/.test(path)),
      [],
    )
  })

  it('loads no package for the shipped examples', async () => {
    for (const name of ['greet', 'fail']) {
      const loaded = await modulesLoadedBy(`demo/${name}`, inPackage('app', 'actions', 'demo', `${name}.ts`))
      assert.deepEqual(
        loaded.filter(path => path.includes('/node_modules/')),
        [],
      )
    }
  })

  it('spares what makes Node slow: no crypto, no promises of fs, no streams', async () => {
    const { outcome } = await (await spawnRun('test/shows-modules')).end()
    const modules = outcome!.content!.split(' ')
    for (const name of ['crypto', 'internal/fs/promises', 'internal/readline/interface', 'stream', 'sqlite', 'net', 'http']) {
      assert.ok(!modules.includes(name), `${name} is loaded`)
    }
  })
})

/** Paths of all files that Node was asked to load, by a hook that is there before the launcher. */
const modulesLoadedBy = async (action: string, file = actionFile(action)): Promise<string[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-hook-'))
  const seen = join(folder, 'seen')
  const hook = join(folder, 'hook.mjs')
  writeFileSync(
    hook,
    `import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
registerHooks({ load(url, context, next) { if (url.startsWith('file:')) appendFileSync(${JSON.stringify(seen)}, url + '\\n'); return next(url, context) } })`,
  )
  const run = await spawnRun(action, { params: {}, nodeArguments: ['--import', hook], ticket: { file, exportName: 'default' } })
  const { outcome } = await run.end()
  assert.ok(outcome?.kind === 'succeeded' || outcome?.content?.includes('as 2 shall'), JSON.stringify(outcome))
  return readFileSync(seen, 'utf8')
    .trim()
    .split('\n')
    .map(url => decodeURIComponent(new URL(url).pathname))
}
