// `npm test`: whatever the tests need, then all of them. `npm test -- store` runs the files with "store" in their path.
// Plain JavaScript that runs on Node 18 until a fitting Node has taken over.
import { fileURLToPath } from 'node:url'
import { orSayWhy } from './setup/failure.js'
import { handOver } from './setup/hand-over.js'
import { setUpPackages } from './setup/packages.js'
import { fittingNode } from './setup/pinned-node.js'

await orSayWhy(async () => {
  const node = await fittingNode()
  if (node !== process.execPath) return handOver(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)])
  await setUpPackages('all', node)
  const { runTests } = await import('./setup/tests/run-tests.js')
  process.exitCode = await runTests(process.argv.slice(2))
})
