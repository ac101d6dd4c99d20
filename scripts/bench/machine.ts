import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem, type } from 'node:os'
import { findProgram } from '../../test/helpers/tools.ts'

/** What the figures depend on. */
export const describeMachine = () => ({
  cores: availableParallelism(),
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  memoryGb: Math.round(totalmem() / 1e9),
  node: process.version,
  sqlite: process.versions.sqlite ?? 'none',
  kernel: `${type()} ${release()}`,
  mariadb: mariadbVersion(),
  folder: tmpdir(),
  filesystem: filesystemOf(tmpdir()),
  loadBefore: loadavg().map(load => Number(load.toFixed(2))),
})
export type Machine = ReturnType<typeof describeMachine>

const mariadbVersion = () => {
  const program = findProgram('mariadbd')
  return program ? (execFileSync(program, ['--version'], { encoding: 'utf8' }).match(/Ver (\S+)/)?.[1] ?? 'unknown') : 'none'
}

/** The type of the mount that holds the folder: the durability of every commit depends on it. */
const filesystemOf = (folder: string) => {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map(line => line.split(' '))
    .filter(([, point]) => point && (point === '/' || folder === point || folder.startsWith(`${point}/`)))
    .sort(([, a], [, b]) => b!.length - a!.length)
  return mounts[0]?.[2] ?? 'unknown'
}
