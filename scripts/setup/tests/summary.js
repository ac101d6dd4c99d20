/**
 * What was skipped and why, what failed and where, and as the very last line the counts.
 * @param {import('./run-file.js').FileResult[]} results
 * @returns {number} exit code
 */
export function printSummary(results) {
  const skips = results.flatMap(result => result.skips)
  const failures = results.flatMap(result => result.failures)
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  if (skips.length > 0) console.log(`\nSkipped:\n${listSkips(skips)}`)
  if (failures.length > 0) console.log(`\nFailed:\n${failures.map(describe).join('\n')}`)
  console.log(`\n${passed} passed, ${failures.length} failed, ${skips.length} skipped`)
  return failures.length > 0 ? 1 : 0
}

/** One reason often skips many tests: it is said once. */
function listSkips(skips) {
  const byReason = Map.groupBy(skips, skip => skip.reason)
  return [...byReason]
    .map(([reason, tests]) => [`  ${reason}`, ...tests.map(({ where, name }) => `    ${where} ${name}`)].join('\n'))
    .join('\n')
}

const describe = ({ where, name, message }) => `  ${where} ${name}\n${message.replaceAll(/^/gm, '      ')}`
