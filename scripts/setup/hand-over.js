import { spawn } from 'node:child_process'
import { constants } from 'node:os'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']

/**
 * Runs a program in our place: same terminal, signals handed on, and we end as it ends (exit code or signal).
 * @param {string} program
 * @param {string[]} args
 */
export async function handOver(program, args) {
  const child = spawn(program, args, { stdio: 'inherit' })
  const handOn = signal => {
    if (!terminalSends(signal)) child.kill(signal)
  }
  for (const signal of signals) process.on(signal, handOn)
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', error => reject(new Error(`${program} cannot be run: ${error.message}. Install Node >= 24 and try again.`)))
    child.once('exit', (...end) => resolve(end))
  }).catch(error => {
    console.error(`bgtask: ${error.message}`)
    return [78, null]
  })
  for (const name of signals) process.off(name, handOn)
  if (!signal) process.exit(code)
  process.kill(process.pid, signal)
  // A signal that we cannot die of (blocked or ignored by whoever started us) still has to look like one.
  setTimeout(() => process.exit(128 + constants.signals[signal]), 1000)
}

/** Ctrl-C and Ctrl-\ reach the whole foreground group: handing them on would be a second Ctrl-C, which means "at once". */
function terminalSends(signal) {
  return (signal === 'SIGINT' || signal === 'SIGQUIT') && Boolean(process.stdin.isTTY)
}
