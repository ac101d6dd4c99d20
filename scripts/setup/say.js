/**
 * One line of progress, for a person who waits.
 * @param {string} line
 */
export function say(line) {
  console.log(`[set-up] ${line}`)
}
