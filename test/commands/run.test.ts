import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { sendCommand } from '../../app/api/send-command.ts'
import { commandLine } from '../../app/cli/audited.ts'
import { groupMembers } from '../../app/runs/process-identity.ts'
import { readOutput } from '../../app/runs/read-output.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { listAudit } from '../../app/store/audit.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { commandScene } from './scene.ts'

const commands = commandScene()
after(commands.remove)

const all = {
  witness: {
    executable: commands.witness,
    arguments: ['--count={count}', '{quiet}', '{word}', '{{literal}}'],
    parameters: {
      count: { type: 'integer', minimum: -5, maximum: 5 },
      quiet: { type: 'boolean', flag: '--quiet' },
      word: { type: 'string', pattern: '^[^x]*$', maxLength: 60 },
    },
    env: { GIVEN: 'by the file' },
    cwd: commands.folder,
  },
  other: { executable: commands.script('other', 'echo other >> "$0".ran'), cwd: commands.folder },
  three: { executable: commands.script('three', 'echo out; echo err >&2; exit 3') },
  self: { executable: commands.script('self', 'kill -KILL $$') },
  deaf: {
    executable: commands.script('deaf', "trap '' TERM\nsetsid sleep 300 &\nsleep 300 &\necho here\nwhile :; do sleep 300; done"),
    graceMs: 300,
  },
  slow: { executable: commands.script('slow', 'sleep 300'), timeoutMs: 300, graceMs: 300 },
  flood: {
    executable: commands.script('flood', 'while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done'),
    outputBytes: 100_000,
  },
  polite: { executable: commands.script('polite', "trap 'echo tidy; exit 0' TERM\necho here\nwhile :; do sleep 0.05; done") },
}

const scene = async (t: Parameters<typeof makeScene>[0], options: Parameters<typeof makeScene>[1] = {}): Promise<Scene> => {
  commands.write(all)
  return makeScene(t, {
    ...options,
    env: { BGTASK_COMMANDS: commands.file, CANARY: 'canary-of-the-environment', BGTASK_CHILD_ENV: 'CANARY', ...options.env },
  })
}

const outputOf = ({ runtime }: Scene, id: number, number = 1) => readOutput(runtimePaths(runtime).run(`${id}-${number}`).folder).text

test('a command is a task: argv of the file’s making, its output, its end, and nothing of ours in its environment', {
  timeout: 60_000,
}, async t => {
  const s = await scene(t)
  const supervising = await s.supervise()
  const send = (name: string, args: unknown = {}) =>
    sendCommand(s.background, name, args, { creator: 'kim' }, { by: 'kim', actor: commandLine() })
  const before = commands.witnessed().length
  const { task } = await send('witness', { count: '-3', quiet: 'true', word: '$(id) `id` ; * "\' \\ &&' })
  const three = (await send('three')).task
  const self = (await send('self')).task
  assert.deepEqual(
    [task.type, task.creator, task.action, task.timeoutMs, task.rerunAfterCrash],
    ['command', 'kim', 'core/command', 600_000, false],
  )
  const done = await s.untilState(task.id, ['succeeded', 'failed'])
  assert.deepEqual([done.state, done.content], ['succeeded', 'exit code 0'])
  const [seen] = commands.witnessed().slice(before)
  assert.deepEqual(seen!.argv, ['--count=-3', '--quiet', '$(id) `id` ; * "\' \\ &&', '{literal}'])
  assert.equal(seen!.cwd, commands.folder)
  const { BGTASK_RUN: mark, ...env } = seen!.env
  assert.match(mark!, new RegExp(`/${task.id}-1/`))
  assert.deepEqual(
    Object.keys(env)
      .filter(name => !['LANG', 'TZ'].includes(name))
      .sort(),
    ['GIVEN', 'HOME', 'PATH'],
    'nothing but what the file says, and what programs need',
  )
  assert.equal(env.GIVEN, 'by the file')
  // Straight into the file: no pipe, and no other file of ours is open in it.
  const output = runtimePaths(s.runtime).run(`${task.id}-1`).output
  assert.deepEqual(seen!.files, { 0: '/dev/null', 1: output, 2: output })
  assert.match(outputOf(s, task.id), /^\$ .*witness\.cjs --count=-3 --quiet "\$\(id\).*\nwitnessed\n$/)

  assert.deepEqual((({ state, content }) => [state, content])(await s.untilState(three.id, 'failed')), ['failed', 'exit code 3'])
  assert.match(outputOf(s, three.id), /\nout\nerr\n$/)
  assert.deepEqual((({ state, content }) => [state, content])(await s.untilState(self.id, 'failed')), ['failed', 'signal SIGKILL'])

  const entries = await listAudit(s.background.db, { limit: 10 })
  const rows = entries.filter(({ act }) => act === 'command').map(({ subject, detail }) => [subject, detail])
  assert.deepEqual(rows.at(-1), [
    String(task.id),
    'core/command, "witness" {"count":"-3","quiet":"true","word":"$(id) `id` ; * \\"\' \\\\ &&"}',
  ])
  assert.equal(rows.length, 3)
  await supervising.stop()
})

test('cancelling and the time limit end all that it has started; printing too much ends it', { timeout: 60_000 }, async t => {
  const s = await scene(t)
  const supervising = await s.supervise()
  const [deaf, slow, flood, polite] = await Promise.all(['deaf', 'slow', 'flood', 'polite'].map(name => s.background.sendCommand(name)))
  const pid = await until('it is there', async () => {
    const [run] = await s.runs(deaf!.id)
    return run?.pid && outputOf(s, deaf!.id).includes('here') ? run.pid : null
  })
  // A process that is just about to become another program shows no environment.
  await until(
    'runner, program, and what that has started',
    () => s.marked().filter(({ mark }) => mark.includes(`/${deaf!.id}-1/`)).length >= 4,
  )
  const { cancelTask } = await import('../../app/api/control.ts')
  await cancelTask(s.background, deaf!.id, 'the test')
  assert.equal((await s.untilState(deaf!.id, ['cancelled', 'failed'])).state, 'cancelled')
  assert.equal((await s.runs(deaf!.id))[0]!.outcome, 'cancelled')
  assert.deepEqual(groupMembers(pid), [])
  assert.deepEqual(
    s.marked().filter(({ mark }) => mark.includes(`/${deaf!.id}-1/`)),
    [],
  )

  await s.untilState(slow!.id, 'failed')
  assert.equal((await s.runs(slow!.id))[0]!.outcome, 'timed-out')
  assert.match(
    (await s.untilState(flood!.id, 'failed')).content!,
    /^It printed more than its limit of 100000 bytes \(outputBytes\) and was ended\.$/,
  )

  // Asked to stop by the loop's stop: it finished in order, so it is done, and is not run again.
  await until('it is there', () => outputOf(s, polite!.id).includes('here'))
  await supervising.stop()
  assert.deepEqual((({ state, content }) => [state, content])(await s.task(polite!.id)), ['succeeded', 'exit code 0'])
})

test('what a stop of the loop interrupts in the middle is not run again by itself, unless the file says so', {
  timeout: 60_000,
}, async t => {
  const s = await scene(t)
  const sleeper = { executable: commands.script('sleeper', 'echo here; sleep 300') }
  const stubborn = { executable: commands.script('stubborn', "trap '' TERM; echo here; while :; do sleep 300; done"), graceMs: 200 }
  commands.write({ sleeper, stubborn, repeatable: { ...sleeper, rerunAfterCrash: true } })
  const first = await s.supervise()
  const tasks = await Promise.all(['sleeper', 'stubborn', 'repeatable'].map(name => s.background.sendCommand(name)))
  for (const { id } of tasks)
    await until('it is there', async () => (await s.task(id)).state === 'running' && outputOf(s, id).includes('here'))
  await first.stop()
  const [sleeping, stubbornly, repeatable] = tasks as [(typeof tasks)[0], (typeof tasks)[0], (typeof tasks)[0]]
  assert.match(
    (await s.untilState(sleeping.id, 'failed')).content!,
    /The supervisor was stopped in the middle of it.* It is not run again by itself/,
  )
  assert.equal((await s.task(repeatable.id)).state, 'waiting')
  const second = await s.supervise()
  assert.match(
    (await s.untilState(stubbornly.id, 'failed')).content!,
    /The supervisor was stopped in the middle of run 1\. It is not run again by itself/,
  )
  await until('it runs again', async () => (await s.task(repeatable.id)).number === 2 && outputOf(s, repeatable.id, 2).includes('here'))
  await second.stop()
})

test('a row that somebody has changed makes no other argv than the file allows', { timeout: 60_000 }, async t => {
  const s = await scene(t)
  const before = commands.witnessed().length
  const good = { name: 'witness', args: { count: 1, quiet: false, word: 'good' } }
  const attacks: [unknown, RegExp][] = [
    [{ ...good, args: { ...good.args, word: '-rf' } }, /may not begin with -/],
    [{ ...good, args: { ...good.args, word: '--checkpoint-action=exec=sh' } }, /may not begin with -/],
    [{ ...good, args: { ...good.args, word: 'a\nb' } }, /line breaks/],
    [{ ...good, args: { ...good.args, word: 'a\0b' } }, /control characters/],
    [{ ...good, args: { ...good.args, word: 'x' } }, /must be as/],
    [{ ...good, args: { ...good.args, word: ['good'] } }, /must be a text/],
    [{ ...good, args: { ...good.args, count: 6 } }, /whole numbers from -5 to 5/],
    [{ ...good, args: { ...good.args, count: '1 --evil' } }, /whole numbers/],
    [{ ...good, args: { ...good.args, more: '/bin/sh' } }, /no parameter of witness/],
    [{ ...good, args: { count: 1, quiet: false } }, /word is missing/],
    [{ ...good, args: null }, /word is missing|must be an object/],
    [{ ...good, executable: '/bin/sh', arguments: ['-c', 'id'] }, /./],
    [{ ...good, name: '/bin/sh' }, /There is no command/],
    [{ ...good, name: 'constructor' }, /There is no command/],
    [{ ...good, name: ['witness'] }, /There is no command/],
    [{ command: good }, /There is no command/],
    ['witness', /./],
    [null, /./],
  ]
  const ids: number[] = []
  for (const [params] of attacks) {
    const { id } = await s.background.sendCommand('witness', good.args)
    await s.background.db.kysely
      .updateTable('bg_task')
      .set({ params: JSON.stringify(params) as never })
      .where('id', '=', id)
      .execute()
    ids.push(id)
  }
  // One that was added under another file than that of its run, and one that was made a loop.
  const { id: gone } = await s.background.sendCommand('other')
  const { id: loop } = await s.background.sendCommand('witness', good.args)
  await s.background.db.kysely
    .updateTable('bg_task')
    .set({ exec_type: 'FOREVER', state: 'stopped', wanted: 'up' })
    .where('id', '=', loop)
    .execute()
  const { id: fine } = await s.background.sendCommand('witness', good.args)
  const { other: _, ...rest } = all
  commands.write(rest)
  const supervising = await s.supervise()
  for (const [index, id] of ids.entries()) {
    const { state, content } = await s.untilState(id, ['failed', 'succeeded'])
    // What more stands in the params than a name and args is not looked at: it is the good command, or none.
    if (state === 'succeeded') assert.ok('executable' in (attacks[index]![0] as object))
    else assert.match(`${content}`, attacks[index]![1], JSON.stringify(attacks[index]![0]))
  }
  assert.match((await s.untilState(gone, 'failed')).content!, /There is no command "other"/)
  assert.match((await s.untilState(loop, 'tripped')).content ?? '', /./)
  await s.untilState(fine, 'succeeded')
  for (const { argv } of commands.witnessed().slice(before)) assert.deepEqual(argv, ['--count=1', 'good', '{literal}'])
  assert.throws(() => readFileSync(`${commands.folder}/other.ran`), /ENOENT/)
  await supervising.stop()
})

test('as another user: without rights, and not where there is no such user', {
  timeout: 60_000,
  skip: process.getuid?.() !== 0 && 'NOT TRIED ON THIS MACHINE: needs root',
}, async t => {
  const s = await scene(t)
  const whoami = {
    executable: commands.script(
      'whoami',
      'id -u; id -G; echo "$HOME"; echo again >> /dev/stdout; grep -E "NoNewPrivs|CapEff" /proc/self/status',
    ),
    runAs: 'nobody',
  }
  commands.write({ whoami, ghost: { ...whoami, runAs: 'no-such-user-here' }, root: { ...whoami, runAs: 'root' } })
  const supervising = await s.supervise()
  const [asNobody, ghost, root] = await Promise.all(['whoami', 'ghost', 'root'].map(name => s.background.sendCommand(name)))
  await s.untilState(asNobody!.id, ['succeeded', 'failed'])
  assert.match(outputOf(s, asNobody!.id), /\n65534\n65534\n\/nonexistent\nagain\nCapEff:\t0+\nNoNewPrivs:\t1\n$/)
  assert.match((await s.untilState(ghost!.id, 'failed')).content!, /asks to run as no-such-user-here: there is no such user/)
  assert.match((await s.untilState(root!.id, 'failed')).content!, /root is the user that it shall not be/)
  await supervising.stop()
})
