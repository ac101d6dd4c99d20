import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { type Bounds, type BoundsFacts, boundsFor, commandWithin } from '../../app/runs/bounds.ts'
import { lookAtMachine, type Machine } from '../../app/runs/machine.ts'
import { findRunUser, type RunUser } from '../../app/runs/run-user.ts'
import { type Limits, limitsOf } from '../../app/task/limits.ts'

const none: Limits = { runAs: null, noNewPrivileges: false, memoryMb: null, processes: null, killOnOutputBytes: null, database: false }
const able: Machine = {
  runAs: null,
  noNewPrivileges: null,
  prlimit: null,
  places: [
    { folder: '/cg/memory', version: 1, memory: true, processes: false },
    { folder: '/cg/pids', version: 1, memory: false, processes: true },
  ],
  troubles: [],
}
const poor: Machine = { ...able, places: [] }
const guest: RunUser = { asked: 'guest', uid: 1234, gid: 1235, home: '/home/guest', initGroups: true }
const decide = (limits: Partial<Limits>, facts: Partial<BoundsFacts> = {}) =>
  boundsFor(
    { ...none, ...limits },
    { machine: able, user: null, ownUid: 0, leafName: 'leaf', reserveBytes: 1_000, databaseIsFile: false, ...facts },
  )
const given = (answer: ReturnType<typeof decide>): Bounds => {
  assert.ok('bounds' in answer, JSON.stringify(answer))
  return answer.bounds
}
const refused = (answer: ReturnType<typeof decide>): string => {
  assert.ok('refusal' in answer, JSON.stringify(answer))
  return answer.refusal
}

test('a limit is kept by the best way there is, and never by less than was asked for', () => {
  const both = given(decide({ memoryMb: 64, processes: 20 }))
  assert.deepEqual(both.leaves, [
    { folder: '/cg/memory/leaf', version: 1, memoryBytes: 64 * 2 ** 20, processes: null },
    { folder: '/cg/pids/leaf', version: 1, memoryBytes: null, processes: 20 },
  ])
  const one = { ...able, places: [{ folder: '/cg', version: 2, memory: true, processes: true } as const] }
  assert.deepEqual(given(decide({ memoryMb: 64, processes: 20 }, { machine: one })).leaves, [
    { folder: '/cg/leaf', version: 2, memoryBytes: 64 * 2 ** 20, processes: 20 },
  ])
  assert.deepEqual(given(decide({ killOnOutputBytes: 5 })).leaves, [], 'no leaf that bounds nothing')
  assert.equal(given(decide({ memoryMb: 64 }, { machine: poor })).dataBytes, 64 * 2 ** 20 + 1_000)
  assert.equal(given(decide({ processes: 20, runAs: 'guest' }, { machine: poor, user: guest })).userProcesses, 20)
  assert.match(
    refused(decide({ processes: 20 }, { machine: poor })),
    /processes 20, and processes cannot be had here: there is no pids cgroup for us/,
  )
  assert.match(
    refused(decide({ memoryMb: 64 }, { machine: { ...poor, prlimit: 'prlimit is not there' } })),
    /memoryMb cannot be had.*prlimit is not there\.$/,
  )
})

test('another user: only by root, only one that there is, never root', () => {
  const bounds = given(decide({ runAs: 'guest' }, { user: guest }))
  assert.deepEqual([bounds.user, bounds.noNewPrivileges, bounds.database], [guest, true, false])
  assert.match(refused(decide({ runAs: 'nobody-knows' })), /there is no user "nobody-knows" on this machine/)
  assert.match(
    refused(decide({ runAs: 'guest' }, { user: guest, ownUid: 500, machine: { ...able, runAs: 'only root can' } })),
    /only root can\.$/,
  )
  assert.match(refused(decide({ runAs: 'root' }, { user: { ...guest, uid: 0 } })), /root is the user that it shall not be/)
  const same = given(decide({ runAs: 'me' }, { user: { ...guest, uid: 500 }, ownUid: 500, machine: { ...able, runAs: 'only root can' } }))
  assert.deepEqual([same.user, same.noNewPrivileges], [null, true], 'the user that we are needs no root')
  assert.match(refused(decide({ runAs: 'guest', database: true }, { user: guest, databaseIsFile: true })), /the database is a file of ours/)
  assert.equal(given(decide({ runAs: 'guest', database: true }, { user: guest })).database, true)
})

test('the command line: leaves first, then limits, then the user, then the program', () => {
  const plain: Bounds = { user: null, noNewPrivileges: false, leaves: [], dataBytes: null, userProcesses: null, database: false }
  assert.deepEqual(commandWithin(plain, ['node', 'x']), ['node', 'x'])
  const line = commandWithin(
    {
      ...plain,
      user: guest,
      leaves: [{ folder: '/cg/leaf', version: 2, memoryBytes: 1, processes: null }],
      dataBytes: 7,
      userProcesses: 8,
    },
    ['node', 'x'],
  )
  assert.deepEqual(
    [line.slice(0, 2), line.slice(3)],
    [
      ['/bin/sh', '-c'],
      [
        ...['bgtask', '/cg/leaf', '--', 'prlimit', '--data=7', '--nproc=8', 'setpriv', '--reuid=1234', '--regid=1235', '--init-groups'],
        ...['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', 'node', 'x'],
      ],
    ],
  )
})

test('what an action may ask for', () => {
  assert.equal(limitsOf({ execute() {} }), null)
  assert.equal(limitsOf({ database: true }), null, 'the database alone is no limit')
  assert.deepEqual(limitsOf({ runAs: 'www-data:www-data', memoryMb: 64 }), { ...none, runAs: 'www-data:www-data', memoryMb: 64 })
  for (const [name, value] of Object.entries({
    runAs: '--reuid=0',
    memoryMb: 63,
    processes: 15,
    killOnOutputBytes: 0.5,
    noNewPrivileges: 'yes',
    database: 1,
  }))
    assert.throws(() => limitsOf({ [name]: value }), new RegExp(`^TypeError: ${name} is .+; it must be`))
  for (const user of ['', 'a b', '-x', '0:', ':0', '$(id)', 'a:b:c', 'a/b', 'a\nb'])
    assert.throws(() => limitsOf({ runAs: user }), TypeError, user)
})

test('users as the system knows them', async () => {
  const root = await findRunUser('root')
  assert.deepEqual([root?.uid, root?.gid, root?.initGroups], [0, 0, true])
  assert.equal((await findRunUser('0'))?.uid, 0)
  assert.deepEqual(await findRunUser('54321:54322'), { asked: '54321:54322', uid: 54321, gid: 54322, home: '/', initGroups: false })
  for (const unknown of ['no-such-user-here', '54321', 'root:no-such-group-here']) assert.equal(await findRunUser(unknown), null, unknown)
})

test('an ordinary user can bound memory, and knows what it cannot do', {
  skip: process.getuid?.() !== 0 && 'NOT TRIED ON THIS MACHINE: needs root',
}, async () => {
  const program = `const { lookAtMachine } = await import(${JSON.stringify(new URL('../../app/runs/machine.ts', import.meta.url).href)}); console.log(JSON.stringify(await lookAtMachine([])))`
  const asOther = commandWithin(
    { user: { ...guest, initGroups: false }, noNewPrivileges: true, leaves: [], dataBytes: null, userProcesses: null, database: false },
    [process.execPath, '--input-type=module', '-e', program],
  )
  const { stdout, stderr } = spawnSync(asOther[0]!, asOther.slice(1), { encoding: 'utf8', env: { PATH: process.env.PATH } })
  assert.deepEqual(JSON.parse(stdout || JSON.stringify(stderr)), {
    runAs: 'only root can start a process as another user, and this is not root',
    noNewPrivileges: null,
    prlimit: null,
    places: [],
    troubles: [],
  })
  const named = await lookAtMachine(['/sys/fs/cgroup/there-is-none', '/proc'])
  assert.deepEqual([named.places, named.troubles.length], [[], 2])
})

test('RLIMIT_NPROC holds for another user', { skip: process.getuid?.() !== 0 && 'NOT TRIED ON THIS MACHINE: needs root' }, () => {
  const bounds: Bounds = {
    user: { ...guest, uid: 61_234, gid: 61_234, initGroups: false },
    noNewPrivileges: true,
    leaves: [],
    dataBytes: null,
    userProcesses: 8,
    database: false,
  }
  const [program, ...line] = commandWithin(bounds, ['/bin/sh', '-c', 'for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.3 & done; wait'])
  const { stderr, status } = spawnSync(program!, line, { encoding: 'utf8' })
  assert.match(stderr, /[Cc]annot fork/)
  assert.notEqual(status, 0)
})
