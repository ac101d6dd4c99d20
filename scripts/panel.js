// What start.sh, stop.sh and reload.sh call. Plain JavaScript that runs on Node 18.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { orSayWhy } from './setup/failure.js'
import { handOver } from './setup/hand-over.js'
import { setUpPackages } from './setup/packages.js'
import { fittingNode } from './setup/pinned-node.js'

const launcher = join(dirname(fileURLToPath(import.meta.url)), '..', 'index.js')
const [what, ...more] = process.argv.slice(2)

await orSayWhy(async () => {
  const node = await fittingNode()
  // Only for a start: npm empties the folder of packages first, and a panel that is to be reloaded runs on them.
  if (what === 'start') await setUpPackages('prod', node)
  await handOver(node, [...process.execArgv, launcher, 'panel', what, ...more])
})
