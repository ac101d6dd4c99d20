/**
 * What was skipped and why, what failed and where, which files took longest, and as the very last line the counts.
 * @param {import('./run-file.js').FileResult[]} results
 * @param {number} tookMs all of it
 * @returns {number} exit code
 */
export function printSummary(results, tookMs) {
  const skips = results.flatMap(result => result.skips)
  const failures = results.flatMap(result => result.failures)
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  if (skips.length > 0) console.log(`\nSkipped:\n${listSkips(skips)}`)
  if (failures.length > 0) console.log(`\nFailed:\n${failures.map(describe).join('\n')}`)
  console.log(`\nSlowest:\n${listSlowest(results)}\n\n${tookIn(tookMs)}`)
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

function listSlowest(results) {
  const slowest = results.toSorted((one, other) => other.seconds - one.seconds).slice(0, 10)
  return slowest.map(({ file, seconds }) => `  ${seconds.toFixed(1).padStart(5)} s  ${file}`).join('\n')
}

function tookIn(ms) {
  const seconds = Math.round(ms / 1000)
  return `All of it took ${Math.floor(seconds / 60)} min ${seconds % 60} s.`
}

const describe = ({ where, name, message }) => `  ${where} ${name}\n${shorten(message).replaceAll(/^/gm, '      ')}`

/** The beginning says what, the end why: of what is too long, such as a counterexample of a fuzz, the middle is left out. */
function shorten(text) {
  const [first, last] = [600, 1400]
  if (text.length <= first + last) return text
  return `${text.slice(0, first)}\n… ${text.length - first - last} characters left out …\n${text.slice(-last)}`
}
