import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'

/** The limit of everything that starts a process: Node with a script of one line or none. */
export interface BareNode {
  /** Runs the empty script `count` times, at most `atOnce` together. @returns runs per second, until the last has ended */
  runsPerSecond(count: number, atOnce: number): Promise<number>
  /** @returns milliseconds from before the spawn to the first line of the script */
  firstLineMs(): Promise<number>
  /** Runs any script of the folder. @returns milliseconds from before the spawn to its end */
  runMs(script: string, ...args: string[]): Promise<number>
}

/** @param folder for its scripts and witnesses */
export const bareNode = (folder: string): BareNode => {
  const empty = join(folder, 'empty.cjs')
  writeFileSync(empty, '')
  const first = join(folder, 'first-line.cjs')
  writeFileSync(first, `const at = process.hrtime.bigint()\nrequire('fs').writeFileSync(process.argv[2], String(at))\n`)
  const witness = join(folder, 'first-line.at')

  const runMs = async (script: string, ...args: string[]) => {
    const beganAt = performance.now()
    await run(script, ...args)
    return performance.now() - beganAt
  }
  return {
    runMs,
    runsPerSecond: async (count, atOnce) => {
      let left = count
      const beganAt = performance.now()
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (left-- > 0) await run(empty)
        }),
      )
      return count / ((performance.now() - beganAt) / 1000)
    },
    firstLineMs: async () => {
      rmSync(witness, { force: true })
      const beganAt = process.hrtime.bigint()
      await run(first, witness)
      return Number(BigInt(readFileSync(witness, 'utf8')) - beganAt) / 1e6
    },
  }
}

const run = async (script: string, ...args: string[]) => {
  const child = spawn(process.execPath, [script, ...args], { stdio: 'ignore' })
  alive.add(child)
  const ended = once(child, 'exit')
  // Runs of the supervisor have it too, so on a busy machine both wait alike.
  if (child.pid) setPriority(child.pid, 5)
  const [exitCode] = await ended
  alive.delete(child)
  if (exitCode !== 0) throw new Error(`${script} ended with ${exitCode}`)
}

const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})
