import assert from 'node:assert/strict'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openScene } from '../api/scene.ts'
import { run } from './run.ts'

const skip = process.getuid?.() !== 0 && 'NOT TRIED ON THIS MACHINE: needs root'
const actions = {
  'test/other': `import { readFileSync } from 'node:fs'
export const runAs = 'nobody', memoryMb = 64
const attempt = work => { try { work(); return 'could' } catch (error) { return error.code } }
export const execute = async ctx => JSON.stringify({
  uid: process.getuid(), euid: process.geteuid(), groups: process.getgroups(), home: process.env.HOME, secret: process.env.DATABASE_URL ?? process.env.CANARY ?? null,
  environ: attempt(() => readFileSync('/proc/self/environ')), back: attempt(() => process.setuid(0)),
  url: attempt(() => readFileSync(process.env.BGTASK_RUNTIME + '/host-id')),
  db: await ctx.db().then(() => 'could', error => error.message),
})`,
  'test/unknown': "export const runAs = 'no-such-user-here'\nexport const execute = () => 'ran'",
}

test('an action that runs as another user does so by hand too, and leaves what is root’s behind', { skip }, async t => {
  const { background, env, folder } = await openScene(t, { actions })
  chmodSync(folder, 0o755)
  const { id } = await background.addTask('test/other')
  const { code, stderr } = await run({ ...env, CANARY: 'canary' }, 'test/other', String(id))
  assert.equal(code, 0, stderr)
  assert.match(stderr, /bgtask: by hand it is not held to its limits: memoryMb 64/)
  const said = JSON.parse(/succeeded: (.*)$/m.exec(stderr)![1]!) as Record<string, unknown>
  assert.match(String(said.db), /runs as nobody and is not handed the database/)
  assert.deepEqual(
    { ...said, db: null },
    {
      uid: 65534,
      euid: 65534,
      groups: [65534],
      home: '/nonexistent',
      secret: null,
      environ: 'EACCES',
      back: 'EPERM',
      url: 'EACCES',
      db: null,
    },
  )
  const unknown = await background.addTask('test/unknown')
  const refused = await run(env, 'test/unknown', String(unknown.id))
  assert.deepEqual([refused.code, /no such user on this machine/.test(refused.stderr)], [78, true], refused.stderr)
  assert.equal(join(folder, 'runtime'), background.config.runtime)
})
