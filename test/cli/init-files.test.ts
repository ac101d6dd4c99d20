import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ignoreRuntime } from '../../app/cli/ignore-runtime.ts'
import { writeNew } from '../../app/cli/write-new.ts'

/** A project, and something beside it that is not its own. */
const places = (t: TestContext) => {
  const place = mkdtempSync(join(tmpdir(), 'bgtask-init-'))
  t.after(() => rmSync(place, { recursive: true, force: true }))
  const [project, other] = [join(place, 'project'), join(place, 'other')]
  mkdirSync(project)
  mkdirSync(other)
  return { project, other, ignore: join(project, '.gitignore') }
}

test('.gitignore: made, added to, and left alone when it says so already', t => {
  const { project, ignore } = places(t)
  assert.match(ignoreRuntime(project), /^\.gitignore: leaves out runtime\//)
  assert.equal(readFileSync(ignore, 'utf8'), 'runtime/\n')
  assert.equal(ignoreRuntime(project), '.gitignore leaves runtime/ out already')
  for (const [before, after] of [
    ['node_modules', 'node_modules\nruntime/\n'],
    ['node_modules\n', 'node_modules\nruntime/\n'],
    ['a\r\n/runtime\r\n', 'a\r\n/runtime\r\n'],
    ['', 'runtime/\n'],
  ] as const) {
    writeFileSync(ignore, before)
    ignoreRuntime(project)
    assert.equal(readFileSync(ignore, 'utf8'), after)
  }
})

test('.gitignore is not written through a symbolic link, wherever it leads', t => {
  const { project, other, ignore } = places(t)
  const [theirs, own] = [join(other, 'their-ignore'), join(project, 'own-ignore')]
  writeFileSync(theirs, 'theirs\n')
  writeFileSync(own, 'own\n')
  for (const target of [theirs, own, 'own-ignore', join(other, 'not-there'), '.gitignore']) {
    rmSync(ignore, { force: true })
    symlinkSync(target, ignore)
    assert.match(
      ignoreRuntime(project),
      /^\.gitignore is a symbolic link, and left as it is: .* Make it a file with a line runtime\/ in it\.$/,
    )
    assert.ok(lstatSync(ignore).isSymbolicLink())
  }
  assert.deepEqual([readFileSync(theirs, 'utf8'), readFileSync(own, 'utf8'), readdirSync(other)], ['theirs\n', 'own\n', ['their-ignore']])
})

test('.gitignore that is no file is told, and waited for by nobody', t => {
  const { project, ignore } = places(t)
  mkdirSync(ignore)
  assert.throws(() => ignoreRuntime(project), {
    code: 'misconfigured',
    message: /cannot be written: it is a folder\. Put a line runtime\/ into it/,
  })
  rmSync(ignore, { recursive: true })
  assert.equal(spawnSync('mkfifo', [ignore]).status, 0)
  assert.throws(() => ignoreRuntime(project), { code: 'misconfigured', message: /cannot be written: it is no file\./ })
})

test('a new file is written where the project is, and nowhere else', t => {
  const { project, other } = places(t)
  const name = join('app', 'actions', 'demo', 'hello.ts')
  const write = () => writeNew(project, name, 'mine', 'your first action')
  assert.equal(write(), `${name}: your first action`)
  assert.equal(write(), `${name} is there already, and left as it is`)
  rmSync(join(project, 'app'), { recursive: true })
  // Whatever part of the way leads out.
  for (const part of ['app', join('app', 'actions'), join('app', 'actions', 'demo')]) {
    rmSync(join(project, 'app'), { recursive: true, force: true })
    mkdirSync(join(project, part, '..'), { recursive: true })
    symlinkSync(other, join(project, part))
    assert.equal(write(), `${name} is not written: a symbolic link leads out of the project there, to ${other}`)
  }
  assert.deepEqual(readdirSync(other), [])
  // A link at its very place is something that is there.
  rmSync(join(project, 'app', 'actions', 'demo'))
  mkdirSync(join(project, 'app', 'actions', 'demo'))
  symlinkSync(join(other, 'hello.ts'), join(project, name))
  assert.equal(write(), `${name} is there already, and left as it is`)
  assert.equal(existsSync(join(other, 'hello.ts')), false)
  // Within the project a link is as good as a folder; so is one that leads to the project itself.
  rmSync(join(project, 'app'), { recursive: true })
  mkdirSync(join(project, 'src'))
  symlinkSync('src', join(project, 'app'))
  const alias = join(other, 'alias')
  symlinkSync(project, alias)
  assert.equal(writeNew(alias, name, 'mine', 'your first action'), `${name}: your first action`)
  assert.equal(readFileSync(join(project, 'src', 'actions', 'demo', 'hello.ts'), 'utf8'), 'mine')
})
