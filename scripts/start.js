// `npm start`: whatever a fresh clone lacks, then the panel. Plain JavaScript that runs on Node 18.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { orSayWhy } from './setup/failure.js'
import { handOver } from './setup/hand-over.js'
import { setUpPackages } from './setup/packages.js'
import { fittingNode } from './setup/pinned-node.js'

const launcher = join(dirname(fileURLToPath(import.meta.url)), '..', 'index.js')

await orSayWhy(async () => {
  const node = await fittingNode()
  await setUpPackages('prod', node)
  // A process of its own also where the Node at hand would do: npm doubles a Ctrl-C (the terminal sends it to all of us), this undoes it.
  await handOver(node, [...process.execArgv, launcher, 'serve', ...process.argv.slice(2)])
})
