import assert from 'node:assert/strict'
import { chmodSync, chownSync, copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadCommands } from '../../app/commands/load-commands.ts'
import { isPrivateGroup } from '../../app/commands/private-group.ts'
import { inPackage } from '../../app/paths.ts'
import { commandScene } from './scene.ts'

const asRoot = process.getuid?.() === 0
const notRoot = asRoot ? false : 'NOT TRIED ON THIS MACHINE: needs root'
const plain = { executable: '/bin/echo', arguments: ['hello'] }

const load = (commands: string) => loadCommands({ commands })

test('a good file is read, and seen again when it changes', async t => {
  const scene = commandScene()
  t.after(scene.remove)
  scene.write({ hello: plain })
  const first = await load(scene.file)
  assert.deepEqual([first.fault, first.broken, first.entries.map(({ name }) => name)], [null, [], ['hello']])
  assert.deepEqual(
    (({ cwd, role, timeoutMs, graceMs, outputBytes, rerunAfterCrash, runAs, env }) => ({
      cwd,
      role,
      timeoutMs,
      graceMs,
      outputBytes,
      rerunAfterCrash,
      runAs,
      env,
    }))(first.get('hello')!),
    { cwd: '/', role: 'operator', timeoutMs: 600_000, graceMs: 10_000, outputBytes: null, rerunAfterCrash: false, runAs: null, env: {} },
  )
  scene.write({ other: plain })
  assert.deepEqual(
    (await load(scene.file)).entries.map(({ name }) => name),
    ['other'],
  )
  // Of the same size and time: another file all the same.
  const time = new Date(Date.now() - 60_000)
  utimesSync(scene.file, time, time)
  await load(scene.file)
  writeFileSync(`${scene.file}.new`, JSON.stringify({ third: plain }), { mode: 0o600 })
  utimesSync(`${scene.file}.new`, time, time)
  renameSync(`${scene.file}.new`, scene.file)
  assert.deepEqual(
    (await load(scene.file)).entries.map(({ name }) => name),
    ['third'],
  )
  assert.equal((await load(scene.file)).get('constructor'), undefined)
  assert.equal((await load(scene.file)).get('__proto__'), undefined)
})

test('a file that others may write is not believed, and the sentence says what to do', async t => {
  const scene = commandScene()
  t.after(scene.remove)
  const faultOf = async () => {
    const { fault, entries } = await load(scene.file)
    assert.deepEqual(entries, [])
    return fault
  }
  scene.write({ hello: plain }, 0o666)
  assert.match(
    String((await faultOf())!),
    /commands\.json can be written by everybody \(mode 666\), so anybody could allow any command\. Run: chmod go-w "/,
  )
  scene.write({ hello: plain }, 0o602)
  assert.match(String((await faultOf())!), /by everybody/)
  scene.write({ hello: plain })
  chmodSync(scene.folder, 0o777)
  assert.match(String((await faultOf())!), /lies below .*, which everybody can write.* chmod o-w/)
  chmodSync(scene.folder, 0o1777)
  assert.equal((await load(scene.file)).fault, null)
  chmodSync(scene.folder, 0o755)
  // A link is as good as what it leads to.
  const link = join(scene.folder, 'link.json')
  symlinkSync(scene.file, link)
  assert.equal((await load(link)).fault, null)
  chmodSync(scene.file, 0o606)
  assert.match(String((await load(link)).fault!), /by everybody/)
})

test('a file of another user, or that a group may write, is not believed', { skip: notRoot }, async t => {
  const scene = commandScene()
  t.after(scene.remove)
  scene.write({ hello: plain }, 0o660)
  chownSync(scene.file, 0, 65534)
  assert.match(String((await load(scene.file)).fault!), /can be written by its group 65534 \(mode 660\).* chmod go-w/)
  chmodSync(scene.file, 0o640)
  assert.equal((await load(scene.file)).fault, null)
  chownSync(scene.file, 65534, 65534)
  assert.match(String((await load(scene.file)).fault!), /belongs to user 65534, who could allow any command; .* As root: chown 0 "/)
  // A group that holds nobody but the owner is the owner.
  assert.equal(isPrivateGroup(0, 65534), false)
  assert.equal(isPrivateGroup(65534, 0), false)
  assert.equal(isPrivateGroup(4_000_000, 4_000_000), false)
})

test('what is no commands file says so, and allows nothing', async t => {
  const scene = commandScene()
  t.after(scene.remove)
  assert.match(String((await load(scene.file)).fault!), /BGTASK_COMMANDS is ".*commands\.json", which is not there/)
  for (const [text, sentence] of [
    ['{', /cannot be used: .*JSON/],
    ['[]', /it is no object of names and commands/],
    ['null', /it is no object/],
    ['7', /it is no object/],
  ] as const) {
    writeFileSync(scene.file, text, { mode: 0o600 })
    const { fault, entries } = await load(scene.file)
    assert.match(String(fault!), sentence)
    assert.match(String(fault!), /Mend it; until then no command is run\.$/)
    assert.deepEqual(entries, [])
  }
  rmSync(scene.file)
  mkdirSync(scene.file)
  assert.match(String((await load(scene.file)).fault!), /cannot be used: /)
})

test('a file that is code is read in a process of its own: what it does there harms nobody', async t => {
  const scene = commandScene()
  t.after(scene.remove)
  let count = 0
  const code = async (text: string) => {
    const file = join(scene.folder, `commands-${++count}.ts`)
    writeFileSync(file, text, { mode: 0o600 })
    return load(file)
  }
  const good = await code(
    "import { defineCommands } from 'bgtask'\nconsole.log('noise')\nexport default defineCommands({ hello: { executable: '/bin/echo', arguments: ['{a}'], parameters: { a: { type: 'integer', minimum: 0, maximum: 3 } } } })",
  )
  assert.deepEqual([good.fault, good.broken, good.get('hello')?.parameters.get('a')?.kind], [null, [], 'whole'])
  assert.match(String((await code('export default {')).fault!), /cannot be used: SyntaxError/)
  assert.match(String((await code("throw new Error('no, not so')")).fault!), /cannot be used: Error: no, not so \(line 1\)/)
  assert.match(String((await code('process.exit(0)')).fault!), /it leaves the process \(code 0\) while it is loaded/)
  assert.match(
    String((await code('export const commands = {}')).fault!),
    /it has no default export that is an object; write: export default defineCommands/,
  )
  // What JSON cannot say is not there.
  const withCode = await code(
    "export default { hello: { executable: '/bin/echo', arguments: () => ['x'], parameters: { a: { type: 'string', pattern: /x/ } } } }",
  )
  assert.match(String(withCode.broken[0]!.sentence), /pattern/)
})

test('the commands of this checkout hold', async () => {
  // A copy of the mode that it should have: how a checkout is made is not for this test to say.
  const { fault, broken, entries } = await load(inPackage('commands.ts'))
  assert.deepEqual([fault, broken, entries.map(({ name }) => name)], [null, [], ['deploy']])
})

const broken: [string, unknown, RegExp][] = [
  ['Deploy', plain, /has a name that is none/],
  ['list', plain, /cannot be called list/],
  ['a', 7, /it is 7, and must be an object/],
  ['a', {}, /has no executable; give an absolute path/],
  ['a', { executable: 'echo' }, /wrong executable: it is "echo", and must be an absolute path/],
  ['a', { executable: './echo' }, /must be an absolute path/],
  ['a', { executable: '/bin/echo\0' }, /must be an absolute path/],
  ['a', { executable: '/no/such/program' }, /names \/no\/such\/program, which is not there/],
  ['a', { executable: '/etc' }, /which is no file/],
  ['a', { executable: '/etc/passwd' }, /which cannot be executed; run: chmod \+x/],
  ['a', { ...plain, cwd: 'here' }, /wrong cwd/],
  ['a', { ...plain, cwd: '/no/such/folder' }, /names the folder \/no\/such\/folder \(cwd\), which is not there/],
  ['a', { ...plain, shell: true }, /says "shell", which is not known/],
  ['a', { ...plain, argument: [] }, /did you mean arguments\?/],
  ['a', { ...plain, role: 'viewer' }, /wrong role: it is "viewer", and must be one of operator, admin/],
  ['a', { ...plain, timeoutMs: 0 }, /wrong timeoutMs/],
  ['a', { ...plain, timeoutMs: null }, /wrong timeoutMs/],
  ['a', { ...plain, runAs: 'no body' }, /wrong runAs/],
  ['a', { ...plain, env: { 'A=B': 'x' } }, /no name of a variable/],
  ['a', { ...plain, env: { BGTASK_RUN: 'x' } }, /names that begin like that are ours/],
  ['a', { ...plain, env: { A: 7 } }, /write it in quotes/],
  ['a', { ...plain, env: { A: 'x\0y' } }, /NUL/],
  ['a', { executable: '/bin/echo', arguments: 'x' }, /arguments that are no list/],
  ['a', { executable: '/bin/echo', arguments: [7] }, /an argument that is no text: 7/],
  ['a', { executable: '/bin/echo', arguments: ['x\0'] }, /NUL character in an argument/],
  ['a', { executable: '/bin/echo', arguments: ['{b}'] }, /has \{b\} in an argument, and no parameter of that name/],
  ['a', { executable: '/bin/echo', arguments: ['{}'] }, /has \{\} in an argument/],
  ['a', { executable: '/bin/echo', arguments: ['{constructor}'] }, /no parameter of that name/],
  ['a', { executable: '/bin/echo', arguments: ['{'] }, /has a single \{/],
  ['a', { executable: '/bin/echo', arguments: ['x}'] }, /has a single \}/],
  ...(
    [
      [{ enum: ['x'] }, [], /parameter b that stands in no argument/],
      [{}, ['{b}'], /is of no kind/],
      [{ type: 'constructor' }, ['{b}'], /is of no kind/],
      [{ type: 'number' }, ['{b}'], /is of no kind/],
      [{ enum: [] }, ['{b}'], /1 to 1000 texts/],
      [{ enum: ['x', 'x'] }, ['{b}'], /the same value twice/],
      [{ enum: ['-x'] }, ['{b}'], /may not begin with -/],
      [{ enum: ['x\ny'] }, ['{b}'], /line breaks/],
      [{ enum: [''] }, ['{b}'], /is empty/],
      [{ enum: [7] }, ['{b}'], /texts/],
      [{ enum: ['x'], default: 'y' }, ['{b}'], /whose default is "y"; allowed are x/],
      [{ type: 'integer', minimum: 0 }, ['{b}'], /has no maximum of parameter b/],
      [{ type: 'integer', minimum: 3, maximum: 1 }, ['{b}'], /minimum 3 is more than its maximum 1/],
      [{ type: 'integer', minimum: 0.5, maximum: 1 }, ['{b}'], /wrong minimum/],
      [{ type: 'integer', minimum: -1, maximum: 1 }, ['{b}'], /a negative number would look like an option/],
      [{ type: 'integer', minimum: -1, maximum: 1 }, ['{b}x'], /a negative number would look like an option/],
      [{ type: 'string' }, ['{b}'], /has no pattern/],
      [{ type: 'string', pattern: '[a-z]+' }, ['{b}'], /begin it with \^ and end it with \$/],
      [{ type: 'string', pattern: '^[a-z]+' }, ['{b}'], /end it with \$/],
      [{ type: 'string', pattern: '^[a-z+$' }, ['{b}'], /is none/],
      [{ type: 'string', pattern: '^a)|(?:b$' }, ['{b}'], /is none/],
      [{ type: 'string', pattern: '^a\\$' }, ['{b}'], /is none/],
      [{ type: 'string', pattern: '^(a+)+$' }, ['{b}'], /takes too long for texts like "aaaaaaaa…/],
      [{ type: 'string', pattern: '^(a|a)*$' }, ['{b}'], /takes too long/],
      [{ type: 'string', pattern: '^(q+)*q$' }, ['{b}'], /takes too long/],
      [{ type: 'string', pattern: '^a*a*a*a*a*a*b$' }, ['{b}'], /takes too long/],
      [{ type: 'string', pattern: '^a$', maxLength: 1e9 }, ['{b}'], /wrong maxLength/],
      [{ type: 'string', pattern: '^a$', flag: '-x' }, ['{b}'], /says "flag" of parameter b, which is not known/],
      [{ type: 'boolean' }, ['{b}'], /has no flag/],
      [{ type: 'boolean', flag: '' }, ['{b}'], /flag is empty/],
      [{ type: 'boolean', flag: '--x' }, ['--y={b}'], /a flag stands alone/],
    ] as [unknown, string[], RegExp][]
  ).map(([b, given, sentence]): [string, unknown, RegExp] => [
    'a',
    { executable: '/bin/echo', arguments: given, parameters: { b } },
    sentence,
  ]),
  ['a', { executable: '/bin/echo', arguments: ['{password}'], parameters: { password: { enum: ['x'] } } }, /looks like a secret/],
  ['a', { executable: '/bin/echo', arguments: ['{9}'], parameters: { 9: { enum: ['x'] } } }, /is no name/],
]

test('an entry that is wrong is named with what is wrong in it, and takes no other with it', async t => {
  const scene = commandScene()
  t.after(scene.remove)
  for (const [name, definition, sentence] of broken) {
    scene.write({ [name]: definition, zz: plain })
    const { fault, broken: found, entries } = await load(scene.file)
    assert.deepEqual([fault, entries.map(entry => entry.name)], [null, ['zz']], JSON.stringify(definition))
    assert.equal(found.length, 1)
    assert.match(String(found[0]!.sentence), sentence)
    assert.match(String(found[0]!.sentence), new RegExp(`^The command ${name} .*[.?]$`, 's'))
  }
})

test('a program that everybody can change, or replace, is not started', async t => {
  const scene = commandScene()
  t.after(scene.remove)
  const folder = join(scene.folder, 'open')
  mkdirSync(folder)
  const program = join(folder, 'echo')
  copyFileSync('/bin/echo', program)
  chmodSync(program, 0o755)
  scene.write({ a: { executable: program } })
  const sentence = async () => (await load(scene.file)).broken[0]?.sentence
  assert.equal(await sentence(), undefined)
  chmodSync(program, 0o757)
  assert.match(String((await sentence())!), /which everybody can change \(mode 757\); run: chmod o-w/)
  chmodSync(program, 0o755)
  chmodSync(folder, 0o777)
  assert.match(String((await sentence())!), /which everybody can replace/)
  chmodSync(folder, 0o755)
  chmodSync(program, 0o644)
  assert.match(String((await sentence())!), /cannot be executed/)
})

test('a program that another user, or a group, can change is not started', { skip: notRoot }, async t => {
  const scene = commandScene()
  t.after(scene.remove)
  const program = scene.script('program', 'echo done')
  const sentence = async (more: object = {}) => {
    scene.write({ a: { executable: program, ...more } })
    return (await load(scene.file)).broken[0]?.sentence
  }
  assert.equal(await sentence(), undefined)
  chownSync(program, 0, 65534)
  chmodSync(program, 0o775)
  assert.match(String((await sentence())!), /which its group 65534 can change \(mode 775\); run: chmod g-w/)
  assert.match(String((await sentence({ runAs: 'nobody' }))!), /which its group 65534 can change/)
  chmodSync(program, 0o755)
  assert.equal(await sentence(), undefined)
  chownSync(program, 65534, 65534)
  assert.match(
    String((await sentence())!),
    /which belongs to user 65534, who could make it anything and have it run as user 0; give it to root or/,
  )
  assert.equal(await sentence({ runAs: 'nobody' }), undefined, 'what is theirs runs as them')
  // By a link it is the same program.
  const link = join(scene.folder, 'link')
  symlinkSync(program, link)
  assert.match(String((await sentence({ executable: link }))!), /belongs to user 65534/)
})
