import type { Figure } from './figure.ts'
import { describeMachine } from './machine.ts'
import { printFigures, printMachine } from './print-figures.ts'

const usage = `node scripts/bench/run.ts [--json] [name …]

Measures bgtask on this machine, each figure beside what the machine allows, and prints a table. Without names: all of them
but page-times, in about 5 minutes; page-times makes ten million runs first and takes some 20 minutes more and 10 GB.
It works in a folder of its own under the system's temporary folder (TMPDIR), with servers and processes of its own, and removes all of it.`

const measurements = {
  'runs-per-second': () => import('./runs-per-second.ts'),
  'resident-tasks': () => import('./resident-tasks.ts'),
  'add-to-first-line': () => import('./add-to-first-line.ts'),
  restart: () => import('./restart.ts'),
  'add-tasks': () => import('./add-tasks.ts'),
  'send-tasks': () => import('./send-tasks.ts'),
  'supervisor-idle': () => import('./supervisor-idle.ts'),
  adoption: () => import('./adoption.ts'),
  'csv-export': () => import('./csv-export.ts'),
  'slow-clients': () => import('./slow-clients.ts'),
  'recover-failed': () => import('./recover-failed.ts'),
  'cron-after-request': () => import('./cron-after-request.ts'),
  'loop-samples': () => import('./loop-samples.ts'),
  'page-times': () => import('./page-times.ts'),
  'live-pages': () => import('./live-pages.ts'),
} satisfies Record<string, () => Promise<{ measure(): Promise<Figure[]> }>>
type Name = keyof typeof measurements

const isName = (given: string): given is Name => Object.hasOwn(measurements, given)

const main = async (given: string[]): Promise<number> => {
  const names = given.filter(one => one !== '--json')
  const wrong = names.find(name => !isName(name))
  if (wrong) {
    const about = wrong === '--help' || wrong === '-h' ? '' : `There is no measurement ${JSON.stringify(wrong)}.\n\n`
    console.error(`${about}${usage}\n\nNames: ${Object.keys(measurements).join(', ')}`)
    return 2
  }
  const json = given.includes('--json')
  const machine = describeMachine()
  if (!json) printMachine(machine)
  const figures: Figure[] = []
  const failures: { name: string; error: string }[] = []
  for (const name of names.length ? names.filter(isName) : (Object.keys(measurements) as Name[]).filter(name => name !== 'page-times')) {
    console.error(`measuring ${name} …`)
    try {
      const { measure } = await measurements[name]()
      figures.push(...(await measure()))
    } catch (error) {
      failures.push({ name, error: (error as Error).message })
      console.error(error)
    }
  }
  if (json) console.log(JSON.stringify({ machine, figures, failures }, null, 2))
  else printFigures(figures)
  for (const { name } of failures) console.error(`${name} could not be measured, see above.`)
  return failures.length ? 1 : 0
}

// Leaving by exit() and not by the signal itself, so that everything begun here is ended and removed.
for (const [signal, number] of [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const)
  process.once(signal, () => process.exit(128 + number))

process.exitCode = await main(process.argv.slice(2))
