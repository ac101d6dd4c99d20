import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { commitOf } from '../../app/runs/commit-of.ts'

test('the commit that is checked out: of a branch, packed, of none, in a second work tree; and null where there is none', t => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-commit-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const checkout = join(folder, 'checkout')
  const within = join(checkout, 'app', 'actions')
  mkdirSync(within, { recursive: true })
  const git = (...given: string[]) =>
    execFileSync(
      'git',
      ['-C', checkout, '-c', 'user.name=kim', '-c', 'user.email=kim@example.org', '-c', 'commit.gpgsign=false', ...given],
      {
        encoding: 'utf8',
      },
    ).trim()
  assert.equal(commitOf(within), null)
  git('init', '-q')
  assert.equal(commitOf(within), null, 'there is no commit yet')
  git('commit', '-q', '--allow-empty', '-m', 'first')
  const first = git('rev-parse', 'HEAD')
  assert.equal(commitOf(within), first)
  git('pack-refs', '--all')
  assert.equal(commitOf(within), first)
  git('commit', '-q', '--allow-empty', '-m', 'second')
  const second = git('rev-parse', 'HEAD')
  assert.equal(commitOf(within), second)
  git('worktree', 'add', '-q', '-b', 'other', join(folder, 'other'), first)
  assert.equal(commitOf(join(folder, 'other')), first)
  git('checkout', '-q', '--detach', first)
  assert.equal(commitOf(within), first)
  writeFileSync(join(checkout, '.git', 'HEAD'), 'nonsense')
  assert.equal(commitOf(within), null)
})
