import { writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { resolveBgtask } from '../runs/resolve-bgtask.ts'
import { loadModules } from './load-modules.ts'

/*
 * A program of its own, since to describe modules is to run what stands in their files: `node describe-modules.ts <names and files…>` writes to
 * descriptor 3 one line of JSON before each part of theirs that it runs, and one with all that it learnt. The one who started it knows of which
 * module it died: of the last that was named.
 */
const describe = async () => {
  endWithParent()
  resolveBgtask()
  for (const event of ['uncaughtException', 'unhandledRejection']) process.on(event, () => {}) // of a module that was described before
  const say = (line: object) => writeSync(3, `${JSON.stringify(line)}\n`)
  const given = process.argv.slice(2)
  const files = given.filter((_, index) => index % 2 === 0).map((name, index) => ({ name, file: given[index * 2 + 1]! }))
  const { modules, queues } = await loadModules(files, (module, part) => say({ module, part }))
  say({ facts: { modules, queues } })
  process.exit(0) // whatever the files left open
}

/** A file may hold up this thread for good while it loads, and who started us may be gone by then: another thread looks. */
const endWithParent = () => {
  const watch = `const parent = process.ppid; setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 500)`
  new Worker(watch, { eval: true, stdout: false, stderr: false }).unref()
}

await describe()
