import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inPackage } from '../app/paths.ts'

/** What loadConfig makes of a bgtask.config.ts: in a checkout that has nothing else, since the file lies beside app/. */
const withFile = (t: TestContext, source: string) => {
  const checkout = mkdtempSync(join(tmpdir(), 'bgtask-config-'))
  t.after(() => rmSync(checkout, { recursive: true, force: true }))
  for (const path of ['app/config.ts', 'app/errors.ts', 'app/paths.ts', 'app/task', 'package.json']) {
    mkdirSync(dirname(join(checkout, path)), { recursive: true })
    cpSync(inPackage(path), join(checkout, path), { recursive: true })
  }
  writeFileSync(join(checkout, 'bgtask.config.ts'), source)
  const program = `const { loadConfig } = await import('./app/config.ts')
    try { console.log(JSON.stringify({ config: await loadConfig({}) })) } catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })) }`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: checkout,
    encoding: 'utf8',
    env: {},
  })
  return JSON.parse(stdout || JSON.stringify({ message: stderr })) as { config?: Record<string, unknown>; code?: string; message?: string }
}

test('the keys of bgtask.config.ts are those of the environment, and a misspelt one is refused with the nearest', t => {
  const { config } = withFile(
    t,
    "export default { PORT: 9000, BGTASK_CHILD_ENV: ['A', 'B'], BGTASK_KEEP_BYTES: 2_000_000, BGTASK_CGROUPS: '/x' }",
  )
  assert.deepEqual([config?.port, config?.childEnv, config?.keepBytes, config?.cgroups], [9000, ['A', 'B'], 2_000_000, ['/x']])
  const misspelt = withFile(t, 'export default { BGTASK_KEEPDAYS: 3 }')
  assert.equal(misspelt.code, 'misconfigured')
  assert.match(misspelt.message!, /it sets BGTASK_KEEPDAYS, which is no setting; did you mean BGTASK_KEEP_DAYS\? Mend it/)
  assert.match(withFile(t, "export default { databaseURI: 'x' }").message!, /it sets databaseURI, which is no setting/)
  assert.match(
    withFile(t, "export default { BGTASK_CGROUPS: 'memory' }").message!,
    /BGTASK_CGROUPS has "memory"; allowed are absolute paths/,
  )
})

test('there may be several actions folders: with colons between, or as a list', t => {
  const actions = (value: string) => withFile(t, `export default { BGTASK_ACTIONS: ${value} }`)
  const relative = (of: { config?: Record<string, unknown> }) =>
    (of.config!.actions as string[]).map(folder => folder.replace(/^.*bgtask-config-[^/]*/, '.'))
  assert.deepEqual(relative(actions('""')), ['./app/actions'])
  assert.deepEqual(relative(actions('"jobs"')), ['./jobs'])
  assert.deepEqual(relative(actions('"jobs:/srv/more/::jobs"')), ['./jobs', '/srv/more'])
  assert.deepEqual(relative(actions('["jobs", "/srv/more"]')), ['./jobs', '/srv/more'])
  assert.match(actions('["a:b"]').message!, /BGTASK_ACTIONS has "a:b"; the path of an actions folder can have no : in it/)
})
