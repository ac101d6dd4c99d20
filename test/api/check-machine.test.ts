import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkInstallation } from '../../app/api/check.ts'
import { machineFindings } from '../../app/api/check-machine.ts'
import { lookAtMachineLately, type Machine } from '../../app/runs/machine.ts'
import type { Limits } from '../../app/task/limits.ts'
import { makeScene } from './scene.ts'

const none: Limits = { runAs: null, noNewPrivileges: false, memoryMb: null, processes: null, killOnOutputBytes: null, database: false }
const poor: Machine = {
  runAs: 'only root can',
  noNewPrivileges: 'setpriv is not there',
  prlimit: 'prlimit is not there',
  places: [],
  troubles: [],
}
const told = (machine: Machine, limits: Partial<Limits> | null = null) =>
  machineFindings(machine, [{ name: 'report/build', limits: limits && { ...none, ...limits } }]).map(
    ({ level, subject, sentence }) => `${level} ${subject}: ${sentence}`,
  )

test('each ability is told in one sentence, by which way', () => {
  const place = { folder: '/cg', version: 2, memory: true, processes: true } as const
  assert.deepEqual(told({ runAs: null, noNewPrivileges: null, prlimit: null, places: [place], troubles: [] }), [
    'ok memory limit: memoryMb bounds all processes of a run together, by cgroups (version 2) in /cg.',
    'ok process limit: processes bounds each run by itself, by cgroups (version 2) in /cg.',
    'ok other users: runAs works: setpriv starts runs as other users, with none of the rights of root.',
    'ok privileges: noNewPrivileges works, by setpriv: no program that a run starts can gain rights.',
  ])
  assert.match(told({ ...poor, prlimit: null })[0]!, /bounds each process of a run by itself \(RLIMIT_DATA\)/)
  assert.match(told({ ...poor, prlimit: null, runAs: null })[1]!, /only be kept for actions that run as another user.*RLIMIT_NPROC/)
})

test('what cannot be had is a fault only when an action asks for it', () => {
  assert.ok(told(poor).every(sentence => sentence.startsWith('ok ') && sentence.endsWith('No action asks for it.')))
  const wanting = told(poor, { runAs: 'nobody', memoryMb: 64, processes: 16 })
  assert.ok(
    wanting.every(sentence => sentence.startsWith('error ') && sentence.endsWith('report/build asks for it, and will not be run.')),
    wanting.join('\n'),
  )
  assert.match(told({ ...poor, troubles: ['No cgroup can be made in /x (why).'] })[0]!, /^error limits: No cgroup can be made in \/x/)
})

test('check looks at this machine, and at the actions that are there', async t => {
  const { config } = await makeScene(t, { actions: { 'test/other': "export const runAs = 'nobody'\nexport const execute = () => {}" } })
  const findings = await checkInstallation(config)
  for (const subject of ['memory limit', 'process limit', 'other users', 'privileges'])
    assert.equal(findings.filter(finding => finding.subject === subject).length, 1, subject)
  const [other] = findings.filter(({ subject }) => subject === 'other users')
  assert.equal(other!.level, process.getuid?.() === 0 ? 'ok' : 'error')
})

test('who asks again and again is told what was tried, for ten seconds; other cgroups are looked at at once', async () => {
  const [at, folders] = [performance.now(), ['/sys/fs/cgroup/not-there']]
  const first = await lookAtMachineLately(folders, at)
  assert.match(first.troubles.join(), /not-there/)
  assert.equal(await lookAtMachineLately(folders, at + 9_000), first)
  assert.deepEqual((await lookAtMachineLately([], at + 9_000)).troubles, [])
  const again = await lookAtMachineLately(folders, at + 9_000)
  assert.notEqual(again, first)
  assert.notEqual(await lookAtMachineLately(folders, at + 20_000), again)
})
