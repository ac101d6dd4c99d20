import { createWatchdog } from '../../app/cron/watchdog.ts'

// A process with a watchdog that gives what it watches 100 ms, and 100 ms more. Says `watched` when it is, and `done` when it came to its end.

const [kind] = process.argv.slice(2)
process.on('exit', () => process.stdout.write('done\n'))
const watchdog = createWatchdog({ graceMs: 100 })
watchdog.watch('the test', 100)
process.stdout.write('watched\n')
if (kind === 'spins') for (;;);
if (kind === 'rests') {
  watchdog.rest()
  // As long as the dog would look before it bites, and more.
  for (const from = performance.now(); performance.now() - from < 2_000; );
}
if (kind === 'yields') process.stdin.once('data', () => process.exit()).on('end', () => process.exit())
if (kind !== 'yields') process.exit()
